package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/internal/hook"
	"kiln/internal/jobdir"
)

// aDoor starts an agent and returns what makes a step of a script there, in a process as
// the runner's, whose output goes to out.
func aDoor(tb testing.TB) func(script string, out io.Writer) *exec.Cmd {
	tb.Helper()
	work := tb.TempDir()
	dir, err := jobdir.Make(work)
	if err != nil {
		tb.Fatal(err)
	}
	anAgent(tb, dir, jobSecret)
	return func(script string, out io.Writer) *exec.Cmd {
		file := filepath.Join(work, "script.sh") // as the runner does: arguments are split at spaces
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			tb.Fatal(err)
		}
		message, err := json.Marshal(map[string]any{
			"command": hook.RunScriptStep, "state": map[string]any{"kiln": map[string]string{"dir": dir.Name(), "door": waySocket}},
			"args": map[string]any{"entryPoint": "sh", "entryPointArgs": []string{"-e", file}, "workingDirectory": "/"},
		})
		if err != nil {
			tb.Fatal(err)
		}
		cmd := exec.Command("kiln-hook")
		cmd.Env = append(os.Environ(), "RUNNER_WORKSPACE="+filepath.Join(work, "app"), "KILN_EXCHANGE="+work)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(string(message)), out, os.Stderr
		return cmd
	}
}

// anAgent starts a job container's agent with a secret, which listens at a job's socket
// and at an address when it returns.
func anAgent(tb testing.TB, dir jobdir.Dir, secret string) (address string) {
	tb.Helper()
	agent := exec.CommandContext(tb.Context(), "kiln-agent", "--socket", dir.Door(), "--tcp", "127.0.0.1:0", "--secret", secret)
	log, err := agent.StdoutPipe()
	if err == nil {
		err = agent.Start()
	}
	if err == nil {
		said := bufio.NewReader(log)
		address, err = said.ReadString('\n')
		if err == nil {
			_, err = said.ReadString('\n') // the socket is the last one
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	return strings.TrimSpace(strings.TrimPrefix(address, "kiln-agent: listens on "))
}

// printing is a script that prints n bytes without a last line feed; some of its writes
// are small.
func printing(n int) string {
	return fmt.Sprintf("(printf first; sleep 0.1; yes 0123456789abcde) | head -c %d", n)
}

// TestLargeOutput prints more than pipes hold: every byte comes, to a pipe with a slow
// reader and to a file, and the line that is open at the end is ended before an error.
func TestLargeOutput(t *testing.T) {
	const size = 20<<20 + 5
	step := aDoor(t)
	want := sha256.New()
	fmt.Fprint(want, "first"+strings.Repeat("0123456789abcde\n", size/16+1)[:size-5])
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	slow, fast := sha256.New(), sha256.New()
	for name, out := range map[string]io.Writer{
		"a pipe": fast, "a file": file,
		"a slow pipe": writerFunc(func(p []byte) (int, error) { time.Sleep(100 * time.Microsecond); return slow.Write(p) }),
	} {
		if err := step(printing(size), out).Run(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	onDisk := sha256.New()
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(onDisk, file); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]interface{ Sum([]byte) []byte }{"pipe": fast, "slow pipe": slow, "file": onDisk} {
		if hex.EncodeToString(got.Sum(nil)) != hex.EncodeToString(want.Sum(nil)) {
			t.Errorf("%s: other bytes", name)
		}
	}
}

// TestStandBack wants a hook that carries much to let those run on between which it does,
// and one that carries a line to be woken for it at once.
func TestStandBack(t *testing.T) {
	step := aDoor(t)
	for name, tt := range map[string]struct {
		size int
		want uint32
	}{"a line": {80, unix.SCHED_NORMAL}, "much": {muchOutput, unix.SCHED_BATCH}} {
		t.Run(name, func(t *testing.T) {
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			held := filepath.Join(t.TempDir(), "held")
			if err := os.WriteFile(held, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := step(fmt.Sprintf("head -c %d /dev/zero; while test -e %s; do sleep 0.01; done", tt.size, held), write)
			if err := errors.Join(cmd.Start(), write.Close()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			if _, err := io.CopyN(io.Discard, read, int64(tt.size)); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(10 * time.Second)
			for got := policies(t, cmd.Process.Pid); len(got) != 1 || got[tt.want] == 0; got = policies(t, cmd.Process.Pid) {
				if time.Now().After(deadline) {
					t.Fatalf("threads by policy: %v, want all under %d", got, tt.want)
				}
				time.Sleep(time.Millisecond) // it counts behind what it has written
			}
			if err := errors.Join(os.Remove(held), cmd.Wait()); err != nil {
				t.Error(err)
			}
		})
	}
}

// policies counts the threads of a process by how they are scheduled.
func policies(t *testing.T, process int) map[uint32]int {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", process))
	if err != nil {
		t.Fatal(err)
	}
	count := map[uint32]int{}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(id, 0)
		if errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		count[attr.Policy]++
	}
	return count
}

// writerFunc is a writer.
type writerFunc func([]byte) (int, error)

// Write writes.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// counter counts what it writes.
type counter struct {
	io.Writer
	n int
}

// Write writes.
func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	return c.Writer.Write(p)
}

// BenchmarkOutput prints 50 MB in a step and in a fork of the same: speed is the step's
// share of the fork's.
func BenchmarkOutput(b *testing.B) {
	step := aDoor(b)
	const script = "head -c 50000000 /dev/zero\n"
	took := map[string][]time.Duration{}
	ways := map[string]func(io.Writer) *exec.Cmd{
		"fork": func(out io.Writer) *exec.Cmd {
			cmd := exec.Command("sh", "-ec", script)
			cmd.Stdout = out
			return cmd
		},
		"step": func(out io.Writer) *exec.Cmd { return step(script, out) },
	}
	for b.Loop() {
		for name, way := range ways {
			begun := time.Now()
			printed := &counter{Writer: sha256.New()}
			if err := way(printed).Run(); err != nil || printed.n != 50_000_000 {
				b.Fatalf("%v, %d bytes", err, printed.n)
			}
			took[name] = append(took[name], time.Since(begun))
		}
	}
	median := func(name string) float64 {
		slices.Sort(took[name])
		return took[name][len(took[name])/2].Seconds()
	}
	b.ReportMetric(1000*median("fork"), "fork-ms")
	b.ReportMetric(1000*median("step"), "step-ms")
	b.ReportMetric(median("fork")/median("step"), "speed")
}
