package forwarder_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"kiln/internal/failure"
	"kiln/internal/forward"
	"kiln/internal/forwarder"
	"kiln/internal/freeport"
)

// within bounds what a test waits for.
const within = 20 * time.Second

// workerCommand makes the test binary a worker; the socket, whether it keeps the ports,
// and the address of the service follow.
const workerCommand = "worker"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == forwarder.Command:
		if err := forwarder.Serve(os.Stdin, os.Stdout, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(os.Args) == 5 && os.Args[1] == workerCommand:
		if err := work(os.Args[2], os.Args[3] == "keep", os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		goleak.VerifyTestMain(m)
	}
}

// work opens one port, says its rule, and waits to be killed.
func work(socket string, keep bool, service string) error {
	client, err := forwarder.New(forwarder.Options{Program: os.Args[0], Socket: socket, Lifeline: os.NewFile(3, "lifeline"), Log: zap.NewNop()})
	if err != nil {
		return err
	}
	host, err := freeport.Find()
	if err != nil {
		return err
	}
	made, err := client.Open([]forward.Rule{{Service: "redis", Protocol: "tcp", Host: host, Target: netip.MustParseAddrPort(service)}})
	if err == nil && keep {
		err = client.Keep()
	}
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(made[0]); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// stage is a service, and what a supervisor has.
type stage struct {
	*testing.T
	socket   string
	service  string
	lifeline *os.File
	end      func() // of the supervisor
}

// newStage has a service that says each line again.
func newStage(t *testing.T) *stage {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	dir, err := os.MkdirTemp("", "") // t.TempDir is longer than a socket's path may be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(context.Background())
	var group sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); end(); group.Wait() })
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ended, func() { _ = conn.Close() })
			group.Go(func() {
				defer stop()
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	return &stage{T: t, socket: filepath.Join(dir, "s"), service: l.Addr().String(), lifeline: read, end: func() { _ = write.Close() }}
}

// client is a worker's, in this process.
func (s *stage) client() *forwarder.Client {
	s.Helper()
	client, err := forwarder.New(forwarder.Options{Program: os.Args[0], Socket: s.socket, Lifeline: s.lifeline, Log: zaptest.NewLogger(s)})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(client.Close)
	return client
}

// worker is another process, which has a port open.
func (s *stage) worker(how string) (*exec.Cmd, forward.Rule) {
	s.Helper()
	cmd := exec.Command(os.Args[0], workerCommand, s.socket, how, s.service)
	cmd.ExtraFiles = []*os.File{s.lifeline}
	cmd.Stderr = os.Stderr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		s.Fatal(err)
	}
	var made forward.Rule
	if err := json.Unmarshal(line, &made); err != nil {
		s.Fatal(err)
	}
	return cmd, made
}

// dial connects to a port of this machine.
func dial(rule forward.Rule) (net.Conn, error) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", rule.Host))
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(within))
}

// say has a line come back.
func say(conn net.Conn, line string) error {
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return err
	}
	got := make([]byte, len(line)+1)
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != line+"\n" {
		return fmt.Errorf("%q came back for %q", got, line)
	}
	return nil
}

// talk connects to a port and has a line come back.
func (s *stage) talk(rule forward.Rule) net.Conn {
	s.Helper()
	conn, err := dial(rule)
	if err == nil {
		s.Cleanup(func() { _ = conn.Close() })
		err = say(conn, "hello")
	}
	if err != nil {
		s.Fatal(err)
	}
	return conn
}

// eventually waits until done.
func (s *stage) eventually(what string, done func() bool) {
	s.Helper()
	for deadline := time.Now().Add(within); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("%s: not within %s", what, within)
		}
	}
}

// closed tells a port that nobody listens at.
func closed(rule forward.Rule) func() bool {
	return func() bool {
		conn, err := dial(rule)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}
}

// TestWorkerIsKilled: a connection goes on over the end of the worker that opened its
// port, and the next worker closes it.
func TestWorkerIsKilled(t *testing.T) {
	s := newStage(t)
	cmd, rule := s.worker("keep")
	conn := s.talk(rule)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := say(conn, "on"); err != nil {
		t.Fatalf("the connection ended with the worker: %v", err)
	}
	next := s.client()
	if err := next.Resume([]forward.Rule{rule}); err != nil {
		t.Fatal(err)
	}
	if err := say(conn, "and on"); err != nil {
		t.Fatalf("the connection ended with the next worker: %v", err)
	}
	s.talk(rule)
	next.Close()
	if !closed(rule)() {
		t.Error("the port is open after the job")
	}
	if _, err := os.Stat(s.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestWorkerIsKilledBeforeItNoted: nobody knows of such ports.
func TestWorkerIsKilledBeforeItNoted(t *testing.T) {
	s := newStage(t)
	cmd, rule := s.worker("lose")
	s.talk(rule)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the port is closed", closed(rule))
}

// TestOpenAfterAnother: the ports of a job that was not ended are free for the next one.
func TestOpenAfterAnother(t *testing.T) {
	s := newStage(t)
	cmd, rule := s.worker("keep")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	next := s.client()
	made, err := next.Open([]forward.Rule{rule})
	if err != nil {
		t.Fatal(err)
	}
	s.talk(made[0])
}

// TestSupervisorEnds: no forwarder outlives it.
func TestSupervisorEnds(t *testing.T) {
	s := newStage(t)
	cmd, rule := s.worker("keep")
	s.talk(rule)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	s.end()
	s.eventually("the port is closed", closed(rule))
}

// TestForwarderIsKilled: another one takes its place while a worker runs, and when the
// next one begins.
func TestForwarderIsKilled(t *testing.T) {
	s := newStage(t)
	client := s.client()
	made, err := client.Open([]forward.Rule{{Service: "redis", Protocol: "tcp", Host: freePort(t), Target: netip.MustParseAddrPort(s.service)}})
	if err == nil {
		err = client.Keep()
	}
	if err != nil {
		t.Fatal(err)
	}
	conn := s.talk(made[0])
	s.kill()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("the connection goes on")
	}
	s.eventually("the port is open again", func() bool { return !closed(made[0])() })
	s.talk(made[0])
}

// TestJobEndsWhileForwarderIsDown: none is begun for a job that has ended.
func TestJobEndsWhileForwarderIsDown(t *testing.T) {
	s := newStage(t)
	client := s.client()
	made, err := client.Open([]forward.Rule{{Service: "redis", Protocol: "tcp", Host: freePort(t), Target: netip.MustParseAddrPort(s.service)}})
	if err == nil {
		err = client.Keep()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.talk(made[0])
	s.kill()
	client.Close()
	if !closed(made[0])() {
		t.Error("the port is open after the job")
	}
}

// TestResumeWithoutForwarder: what can be opened is, and the error is about the rest.
func TestResumeWithoutForwarder(t *testing.T) {
	s := newStage(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	target := netip.MustParseAddrPort(s.service)
	free := forward.Rule{Service: "redis", Protocol: "tcp", Host: freePort(t), Target: target}
	lost := forward.Rule{Service: "db", Protocol: "tcp", Host: netip.MustParseAddrPort(taken.Addr().String()).Port(), Target: target}
	client := s.client()
	err = client.Resume([]forward.Rule{lost, free})
	if client.Lost() == nil || !errors.Is(err, client.Lost()) {
		t.Errorf("Lost = %v after %v", client.Lost(), err)
	}
	if failure.Of(err) != failure.BadRequest || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("the port %d/tcp for the service db is taken", lost.Host)) {
		t.Errorf("the error is %v", err)
	}
	s.talk(free)
	_, err = client.Open([]forward.Rule{lost})
	if failure.Of(err) != failure.BadRequest || !strings.Contains(fmt.Sprint(err), "is taken in the runner pod") {
		t.Errorf("the error of a new job is %v", err)
	}
	if !closed(free)() {
		t.Error("the earlier job's port is open")
	}
	if client.Lost() != nil {
		t.Errorf("lost in the new job: %v", client.Lost())
	}
}

// TestNoProgram is an error that names it.
func TestNoProgram(t *testing.T) {
	s := newStage(t)
	client, err := forwarder.New(forwarder.Options{Program: "/nowhere/kiln-sidecar", Socket: s.socket, Log: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Open(nil)
	if !strings.Contains(fmt.Sprint(err), "/nowhere/kiln-sidecar") {
		t.Errorf("the error is %v", err)
	}
}

// freePort is a port that was free, and stays so while its forwarder is down.
func freePort(t *testing.T) uint16 {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// kill kills the forwarder at the socket, which is told by its arguments, and returns when
// it has gone.
func (s *stage) kill() {
	s.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.Fatal(err)
	}
	for _, path := range found {
		line, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(line), "\x00"+forwarder.Command+"\x00"+s.socket+"\x00") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err != nil {
			s.Fatal(err)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			s.Fatal(err)
		}
		s.eventually("the forwarder is gone", func() bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) })
		return
	}
	s.Fatal("there is no forwarder")
}
