package agent_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/internal/agent"
)

// Variables that make a process of this test's program something else: an agent
// that listens on the socket and, with the secret, on TCP.
const (
	asAgent  = "KILN_TEST_AGENT"
	tcpOf    = "KILN_TEST_TCP"
	ulimits  = "KILN_TEST_ULIMITS"
	secret   = "0123456789abcdef0123456789abcdef"
	bareRoot = "KILN_TEST_BARE_ROOT"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == agent.LimitCommand:
		os.Exit(agent.ExecLimited(os.Args[2:]))
	case len(os.Args) > 2 && os.Args[1] == agent.ActionCommand:
		os.Exit(agent.RunAction(os.Args[2:]))
	case len(os.Args) > 2 && os.Args[1] == stepArgument:
		bareStep(os.Args[2])
	case os.Getenv(asAgent) != "":
		if err := serve(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve is the agent's process.
func serve() error {
	if err := enterBareRoot(os.Getenv(bareRoot)); err != nil {
		return err
	}
	config := agent.Config{Socket: os.Getenv(asAgent), TCP: os.Getenv(tcpOf), Secret: []byte(secret), Log: os.Stdout}
	for text := range strings.FieldsSeq(os.Getenv(ulimits)) {
		limit, err := agent.ParseUlimit(text)
		if err != nil {
			return err
		}
		config.Limits = append(config.Limits, limit)
	}
	for _, name := range []string{asAgent, tcpOf, bareRoot, ulimits} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	ctx, cancel := agent.UntilStopped(context.Background())
	defer cancel()
	return agent.Serve(ctx, config)
}

// A container is an agent in a process of its own, and the doors to it.
type container struct {
	cmd       *exec.Cmd
	unix, tcp agent.Door
}

// own is the command that makes this test's program an agent.
func own(t testing.TB, socket string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Env = append(os.Environ(), asAgent+"="+socket, tcpOf+"=127.0.0.1:0")
	return cmd
}

// start starts an agent and waits until it listens.
func start(t testing.TB) *container {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	return startAs(t, own(t, socket), socket)
}

func startAs(t testing.TB, cmd *exec.Cmd, socket string) *container {
	t.Helper()
	log, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	c := &container{cmd: cmd, unix: agent.Door{Socket: socket}}
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		address, found := strings.CutPrefix(lines.Text(), "kiln-agent: listens on ")
		if !found {
			t.Fatalf("the agent says %q", lines.Text())
		}
		if !strings.Contains(address, "/") {
			c.tcp = agent.Door{TCP: address, Secret: []byte(secret)}
			continue
		}
		return c // the socket is the last one
	}
	t.Fatal("the agent ended")
	return nil
}

// doors are the ways to a container, by their names.
func (c *container) doors() map[string]agent.Door {
	return map[string]agent.Door{"unix": c.unix, "tcp": c.tcp}
}

// sh is a call of a script.
func sh(script string, args ...string) agent.Call {
	return agent.Call{Argv: append([]string{"sh", "-c", script}, args...)}
}

// run runs a call to its end.
func run(t testing.TB, door agent.Door, call agent.Call) (agent.Outcome, string) {
	t.Helper()
	var output bytes.Buffer
	outcome, err := door.Run(t.Context(), agent.Step{Call: call, Output: &output})
	if err != nil {
		t.Fatalf("%v, after %q", err, output.String())
	}
	return outcome, output.String()
}

// A running step is one that a test watches.
type running struct {
	lines   *bufio.Scanner
	signals chan syscall.Signal
	cancel  context.CancelFunc
	ended   chan struct{}
	outcome agent.Outcome
	err     error
}

// begin runs a script in the background, of bash: its jobs have groups of their own
// also without a terminal.
func begin(t testing.TB, door agent.Door, script string) *running {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{
		lines: bufio.NewScanner(read), signals: make(chan syscall.Signal),
		cancel: cancel, ended: make(chan struct{}),
	}
	go func() {
		r.outcome, r.err = door.Run(ctx, agent.Step{
			Call: agent.Call{Argv: []string{"bash", "-c", script}}, Output: write, Signals: r.signals,
		})
		_ = write.Close()
		close(r.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.ended
		_ = read.Close()
	})
	return r
}

// line waits for the next line.
func (r *running) line(t testing.TB) string {
	t.Helper()
	if !r.lines.Scan() {
		<-r.ended
		t.Fatalf("no further line: %+v, %v", r.outcome, r.err)
	}
	return r.lines.Text()
}

// pids reads process ids off the next line.
func (r *running) pids(t testing.TB) []int {
	t.Helper()
	var pids []int
	for field := range strings.FieldsSeq(r.line(t)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// hang is how long only what hangs takes, on a machine with much else to do.
const hang = 30 * time.Second

// eventually waits for a condition that has no event.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hang); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to be: %s", what)
		}
	}
}

// gone tells whether no process has an id any more: it has ended and is reaped.
func gone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }
