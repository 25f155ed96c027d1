package agent_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kiln/internal/agent"
)

// outlet opens an outlet in a directory of its own.
func outlet(t testing.TB) (*agent.Outlet, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	o, err := agent.OpenOutlet(socket, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o, socket
}

// become is the command that becomes an action.
func become(t testing.TB, socket, token string, argv ...string) *exec.Cmd {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), own, append([]string{agent.ActionCommand, socket, token}, argv...)...)
}

// pour reads an outlet to its end.
func pour(t testing.TB, o *agent.Outlet) string {
	t.Helper()
	var printed bytes.Buffer
	if err := o.Pour(&printed, nil); err != nil {
		t.Error(err)
	}
	return printed.String()
}

// An action prints into the outlet, both streams in order, and nowhere else; the
// pipe ends with it.
func TestOutlet(t *testing.T) {
	o, socket := outlet(t)
	action := become(t, socket, secret, "sh", "-c", "echo out; echo err >&2; echo again > /dev/stdout; exit 7")
	own, err := action.CombinedOutput()
	if len(own) > 0 || action.ProcessState.ExitCode() != 7 {
		t.Errorf("it printed %q itself and ended with %v", own, err)
	}
	<-o.Settled()
	if printed := pour(t, o); !o.Taken() || printed != "out\nerr\nagain\n" {
		t.Errorf("taken: %v, printed %q", o.Taken(), printed)
	}
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("the socket still takes somebody")
	}
}

// Without the outlet an action prints to where the container does.
func TestOutletOutOfReach(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(t *testing.T) (socket string, check func())
		token   string
	}{
		"no socket":     {func(t *testing.T) (string, func()) { return filepath.Join(t.TempDir(), "s"), func() {} }, secret},
		"another token": {openOutlet, secret[1:] + "x"},
		"settled":       {settledOutlet, secret},
		"no descriptor": {func(t *testing.T) (string, func()) { return answering(t, "G\x00\x00\x00\x01\x01") }, secret},
		"nonsense":      {func(t *testing.T) (string, func()) { return answering(t, "HTTP/1.1 400\r\n") }, secret},
		"no answer":     {func(t *testing.T) (string, func()) { return answering(t, "") }, secret},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket, check := tt.prepare(t)
			own, err := become(t, socket, tt.token, "sh", "-c", "echo out; echo err >&2").CombinedOutput()
			if err != nil || string(own) != "out\nerr\n" {
				t.Errorf("it printed %q, %v", own, err)
			}
			check()
		})
	}
}

// openOutlet is an outlet that is not to be taken.
func openOutlet(t *testing.T) (string, func()) {
	o, socket := outlet(t)
	return socket, func() {
		o.Settle()
		if o.Taken() {
			t.Error("it is taken")
		}
	}
}

// settledOutlet is one that is shut.
func settledOutlet(t *testing.T) (string, func()) {
	o, socket := outlet(t)
	o.Settle()
	return socket, func() {}
}

// answering is somebody else's socket, with one answer and a last word to read.
func answering(t *testing.T, answer string) (string, func()) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.ReadFull(conn, make([]byte, 5+len(secret)))
		_, _ = io.WriteString(conn, answer)
		_, _ = io.Copy(io.Discard, conn)
	}()
	return socket, func() {}
}

// An outlet whose descriptors are lost on the way is settled by that: it is not
// waited for any longer.
func TestOutletWithoutDescriptors(t *testing.T) {
	o, socket := outlet(t)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "K\x00\x00\x00\x20"+secret); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 6)); err != nil { // and no control message
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "A\x00\x00\x00\x01\x00"); err != nil {
		t.Fatal(err)
	}
	<-o.Settled()
	if o.Taken() {
		t.Error("it is taken")
	}
}

// An action's process is that of its container: the same id, environment, signals
// and limits, and whoever prints after the action's end is not waited for.
func TestBecomeUnchanged(t *testing.T) {
	const look = `echo $$; env | sort; grep -E '^(SigBlk|SigIgn|SigCgt|Cap|NoNew)' /proc/self/status; cat /proc/$$/limits; umask; pwd; ls -l /proc/self/fd | sed "s/.* -> //; s/[0-9]//g" >&2`
	run := func(cmd *exec.Cmd) (string, int) {
		cmd.Env, cmd.Dir = []string{"PATH=" + os.Getenv("PATH"), "A=b", "GODEBUG=x=1"}, "/"
		var own bytes.Buffer
		cmd.Stdout, cmd.Stderr = &own, &own
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return own.String(), cmd.ProcessState.Pid()
	}
	want, pid := run(exec.CommandContext(t.Context(), "sh", "-c", look))
	o, socket := outlet(t)
	_, actionPID := run(become(t, socket, secret, "sh", "-c", look))
	got := pour(t, o)
	wantID, want, _ := strings.Cut(want, "\n")
	gotID, got, _ := strings.Cut(got, "\n")
	if wantID != strconv.Itoa(pid) || gotID != strconv.Itoa(actionPID) {
		t.Errorf("processes %s and %s, want %d and %d", wantID, gotID, pid, actionPID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("an action (-its own start, +as it became):\n%s", diff)
	}
}

// A program that cannot be executed has Docker's exit codes.
func TestBecomeNothing(t *testing.T) {
	dir := t.TempDir()
	files := map[string]struct {
		content string
		mode    os.FileMode
	}{"plain": {"x", 0o644}, "script": {"#!/no/such\n", 0o755}, "empty": {"\x7fELF", 0o755}}
	for name, file := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(file.content), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	for program, want := range map[string]int{
		"/not/there": 127, "not-there": 127, "": 127, dir: 126, dir + "/plain": 126, dir + "/script": 127, dir + "/empty": 128,
	} {
		cmd := become(t, filepath.Join(dir, "s"), secret, program)
		own, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != want || len(own) > 0 {
			t.Errorf("%q: exit code %d, printed %q, %v; want %d", program, code, own, err, want)
		}
	}
}

// The pipe of an outlet is read in full, also after the end of what it was for.
func TestOutletPoursWhatIsLeft(t *testing.T) {
	o, socket := outlet(t)
	action := become(t, socket, secret, "sh", "-c", "head -c 300000 /dev/zero; sleep 60 & echo $!")
	if err := action.Run(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	close(ended)
	var printed bytes.Buffer
	began := time.Now()
	if err := o.Pour(&printed, ended); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimLeft(printed.String(), "\x00")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	if printed.Len() < 300_000 || time.Since(began) > hang || unix.Kill(pid, 0) != nil {
		t.Errorf("%d bytes after %v, process %d", printed.Len(), time.Since(began), pid)
	}
}

// takes takes an outlet by hand.
func takes(t *testing.T, o *agent.Outlet, socket string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "K\x00\x00\x00\x20"+secret); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 6)); err != nil { // the descriptor is not looked at
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "A\x00\x00\x00\x01\x01"); err != nil {
		t.Fatal(err)
	}
	<-o.Settled()
	return conn
}
