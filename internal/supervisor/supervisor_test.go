package supervisor_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"kiln/internal/supervisor"
)

// hang is how long only what hangs takes, on a machine with much else to do.
const hang = 30 * time.Second

// roleVariable makes the test binary play a part in a process tree.
const roleVariable = "KILN_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "supervisor":
		supervise()
	default:
		work(role)
	}
}

// hungryLimit is what the hungry worker may have.
const hungryLimit = 128 << 20

// hungry is a worker that wants 256 MiB. It is no Go program: the race detector
// reserves more than any limit. It takes nothing before the limit is there, which its
// argument has in KiB.
const hungry = `echo worker $$ $KILN_WORKER_RESTARTS
until [ "$(ulimit -d)" = "$1" ]; do sleep 0.01; done
x=xxxxxxxxxxxxxxxx; n=0
while [ $n -lt 24 ]; do x=$x$x; n=$((n + 1)); done
echo allocated ${#x}`

// supervise runs a worker of the role that the first argument names.
func supervise() {
	o := supervisor.Defaults()
	o.Command = []string{os.Args[0]}
	o.Env = []string{roleVariable + "=" + os.Args[1]}
	o.FirstPause, o.LastPause = time.Millisecond, 20*time.Millisecond
	o.Grace = 300 * time.Millisecond
	o.Log = zap.NewNop()
	if os.Args[1] == "hungry" {
		o.Limits = supervisor.Limits{Data: hungryLimit}
		o.Command = []string{"/bin/sh", "-c", hungry, "hungry", strconv.Itoa(hungryLimit >> 10)}
	}
	supervisor.Run(o)
}

// work plays a worker. Every worker says its id and its restarts first.
func work(role string) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGUSR1)
	fmt.Printf("worker %d %s\n", os.Getpid(), os.Getenv(supervisor.EnvRestarts))
	switch role {
	case "steady":
		for received := range signals {
			fmt.Println("got", unix.SignalName(received.(syscall.Signal)))
			if received == unix.SIGTERM {
				os.Exit(7)
			}
		}
	case "deaf":
		select {}
	case "panic":
		panic("the worker has a fault")
	case "exit":
		os.Exit(0)
	case "parent":
		// A child that nobody waits for, and an orphan of its.
		child := exec.Command("sh", "-c", "sleep 1000 & echo child $$ $!; sleep 1000")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			panic(err)
		}
		select {}
	case "heir":
		heir()
		select {}
	}
}

// heir starts a process that outlives this one, and not the supervisor.
func heir() {
	lifeline, err := supervisor.Lifeline()
	if err != nil {
		panic(err)
	}
	child := exec.Command("sh", "-c", "echo child $$; exec cat <&3")
	child.Stdout = os.Stdout
	child.ExtraFiles = []*os.File{lifeline}
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := child.Start(); err != nil {
		panic(err)
	}
}

// tree is a supervisor with its worker.
type tree struct {
	*exec.Cmd
	lines *bufio.Scanner
}

// start starts a supervisor whose worker has that role.
func start(t *testing.T, role string) *tree {
	t.Helper()
	return startIn(t, role, 0)
}

// startIn is start in new namespaces, CLONE_NEWPID for a supervisor that is
// process 1.
func startIn(t *testing.T, role string, namespaces uintptr) *tree {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), own, role)
	cmd.Env = append(os.Environ(), roleVariable+"=supervisor")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = in
	cmd.WaitDelay = hang
	if err := errors.Join(cmd.Start(), in.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = out.Close()
	})
	return &tree{Cmd: cmd, lines: bufio.NewScanner(out)}
}

// line waits for a line that begins with word and returns its further fields
// as numbers, where they are.
func (p *tree) line(t *testing.T, word string) []int {
	t.Helper()
	for p.lines.Scan() {
		fields := strings.Fields(p.lines.Text())
		if len(fields) > 0 && fields[0] == "allocated" {
			t.Fatal("the worker got more memory than its limit")
		}
		if len(fields) == 0 || fields[0] != word {
			continue
		}
		var numbers []int
		for _, field := range fields[1:] {
			number, _ := strconv.Atoi(field)
			numbers = append(numbers, number)
		}
		return numbers
	}
	t.Fatalf("no line begins with %q: %v", word, p.lines.Err())
	return nil
}

// stop sends SIGTERM and returns the exit code and how long it took.
func (p *tree) stop(t *testing.T) (int, time.Duration) {
	t.Helper()
	began := time.Now()
	if err := p.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, eternal{p.lines}) }()
	_ = p.Wait()
	return p.ProcessState.ExitCode(), time.Since(began)
}

// eternal drains a scanner.
type eternal struct{ lines *bufio.Scanner }

func (e eternal) Read([]byte) (int, error) {
	if !e.lines.Scan() {
		return 0, io.EOF
	}
	return 0, nil
}

// gone waits until there is no process with that id, not even a zombie.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(hang); unix.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			t.Fatalf("process %d is still there: %s", pid, state)
		}
	}
}

func TestSignalsReachTheWorker(t *testing.T) {
	p := start(t, "steady")
	worker := p.line(t, "worker")
	if err := p.Process.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	p.line(t, "got")
	code, _ := p.stop(t)
	if code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0 whatever the worker's", code)
	}
	gone(t, worker[0])
}

func TestWorkerThatEndsIsStartedAgain(t *testing.T) {
	for _, role := range []string{"panic", "exit", "hungry"} {
		t.Run(role, func(t *testing.T) {
			p := start(t, role)
			var restarts []int
			for range 3 {
				restarts = append(restarts, p.line(t, "worker")[1])
			}
			if diff := cmp.Diff([]int{0, 1, 2}, restarts); diff != "" {
				t.Errorf("restarts (-want +got):\n%s", diff)
			}
			if code, _ := p.stop(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestKilledWorkerIsStartedAgain(t *testing.T) {
	p := start(t, "steady")
	first := p.line(t, "worker")[0]
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := p.line(t, "worker")[0]
	gone(t, first)
	if code, _ := p.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	gone(t, second)
}

func TestDeafWorkerIsKilled(t *testing.T) {
	p := start(t, "deaf")
	worker := p.line(t, "worker")[0]
	code, took := p.stop(t)
	if code != 0 || took < 300*time.Millisecond || took > hang {
		t.Errorf("exit code %d after %v", code, took)
	}
	gone(t, worker)
}

func TestWorkerDiesWithItsSupervisor(t *testing.T) {
	p := start(t, "steady")
	worker := p.line(t, "worker")[0]
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	gone(t, worker)
}

func TestNoOrphanOutlivesTheWorker(t *testing.T) {
	p := start(t, "parent")
	worker := p.line(t, "worker")[0]
	family := p.line(t, "child")
	if err := unix.Kill(worker, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.line(t, "worker")
	for _, pid := range append(slices.Clone(family), worker) {
		gone(t, pid)
	}
	again := p.line(t, "child")
	if code, _ := p.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, pid := range again {
		gone(t, pid)
	}
}

// TestLifeline: what a worker starts with it in a group of its own outlives the worker,
// and no supervisor, however that ends.
func TestLifeline(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, p *tree){
		"told":   func(t *testing.T, p *tree) { p.stop(t) },
		"killed": func(_ *testing.T, p *tree) { _ = p.Process.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, "heir")
			worker, child := p.line(t, "worker")[0], p.line(t, "child")[0]
			if err := unix.Kill(worker, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			p.line(t, "worker")
			gone(t, worker)
			another := p.line(t, "child")[0]
			if err := unix.Kill(child, 0); err != nil {
				t.Fatalf("the process ended with its worker: %v", err)
			}
			end(t, p)
			gone(t, child)
			gone(t, another)
		})
	}
}

func TestProcessOne(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a process id namespace takes root")
	}
	p := startIn(t, "parent", unix.CLONE_NEWPID)
	if first := p.line(t, "worker")[0]; first > 20 {
		t.Errorf("the worker is process %d of its namespace", first)
	}
	p.line(t, "child")
	if code, _ := p.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestLimits(t *testing.T) {
	const mib = 1 << 20
	for name, tc := range map[string]struct {
		container uint64
		want      supervisor.Limits
		fault     string
	}{
		"none":      {0, supervisor.Limits{}, ""},
		"usual":     {512 * mib, supervisor.Limits{Data: 448 * mib, Soft: 448 * mib / 100 * 85}, ""},
		"small":     {136 * mib, supervisor.Limits{Data: 112 * mib, Soft: 112 * mib / 100 * 85}, ""},
		"too small": {96 * mib, supervisor.Limits{}, "is 96 MiB: set 136 MiB or more"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := supervisor.LimitsOf(tc.container)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (err != nil) != (tc.fault != "") || err != nil && !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("error = %v, want %q", err, tc.fault)
			}
		})
	}
}
