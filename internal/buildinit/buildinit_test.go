package buildinit_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/internal/buildinit"
)

// asInit makes a process of this test's program the init of its arguments.
const asInit = "KILN_TEST_AS_INIT"

func TestMain(m *testing.M) {
	if os.Getenv(asInit) == "" {
		os.Exit(m.Run())
	}
	if err := os.Unsetenv(asInit); err != nil {
		panic(err)
	}
	if err := buildinit.Join(); err != nil {
		fmt.Println(err)
	}
	os.Exit(buildinit.Run(os.Stdout, os.Args[1:]))
}

// under returns the command that runs argv below the init.
func under(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), own, argv...)
	cmd.Env = append(os.Environ(), asInit+"=1")
	return cmd
}

// shell returns the command that runs a script below the init.
func shell(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	return under(t, "/bin/sh", "-c", script)
}

// exitCode is how a command ended.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	failed, ok := err.(*exec.ExitError) //nolint:errorlint // Run returns it as it is
	if !ok {
		t.Fatal(err)
	}
	return failed.ExitCode()
}

func TestExitCode(t *testing.T) {
	noProgram := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(noProgram, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		argv []string
		want int
		said string
	}{
		{"well", []string{"/bin/true"}, 0, ""},
		{"badly", []string{"/bin/sh", "-c", "exit 42"}, 42, ""},
		{"by a signal", []string{"/bin/sh", "-c", "kill -9 $$"}, 137, "kiln-init: /bin/sh was ended by the signal \"killed\"\n"},
		{"after a child", []string{"/bin/sh", "-c", "(exit 3) & wait; exit 4"}, 4, ""},
		{"with a child left", []string{"/bin/sh", "-c", "sleep 30 >/dev/null 2>&1 & exit 5"}, 5, ""},
		{"absent", []string{"/no/executor", "--flag"}, 127, "kiln-init: cannot start /no/executor: no such file or directory\n"},
		{"no program", []string{noProgram}, 126, "kiln-init: cannot start " + noProgram + ": permission denied\n"},
		{"nothing", nil, 127, "kiln-init: no program to start\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			cmd := under(t, tt.argv...)
			cmd.Stdout = &out
			if got := exitCode(t, cmd.Run()); got != tt.want || out.String() != tt.said {
				t.Errorf("exit code %d, %q; want %d, %q", got, out.String(), tt.want, tt.said)
			}
		})
	}
}

// A process whose parent has ended is the init's, and is gone once it has
// ended: a RUN that stops a daemon can wait for that.
func TestReaps(t *testing.T) {
	cmd := shell(t, `
		pid=$(sh -c 'sleep 60 >/dev/null & echo $!')
		kill $pid
		while kill -0 $pid 2>/dev/null; do sleep 0.01; done`)
	if out, err := cmd.Output(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSignals(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{
		"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1,
	} {
		t.Run(name, func(t *testing.T) {
			cmd := shell(t, "trap 'exit 9' "+name+"; echo ready; while :; do sleep 0.01; done")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if got := exitCode(t, cmd.Wait()); got != 9 {
				t.Errorf("exit code %d", got)
			}
		})
	}
}

// What is written to either stream is read in the order in which it was
// written.
func TestOrder(t *testing.T) {
	const lines = 2000
	cmd := shell(t, fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo $i; i=$((i+1)); echo $i >&2; i=$((i+1)); done", lines))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range lines {
		fmt.Fprintln(&want, i)
	}
	if string(data) != want.String() {
		t.Errorf("lines are not in their order:\n%.200s", data)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// The pipe's mode lets a program of any user open /dev/stdout and /dev/stderr
// anew, though root made it.
func TestOpenToEveryUser(t *testing.T) {
	cmd := shell(t, "stat -L -c %a /dev/stdout /dev/stderr")
	out, err := cmd.Output()
	if err != nil || string(out) != "666\n666\n" {
		t.Errorf("modes %q, %v", out, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("another user is only for root to become")
	}
	cmd = shell(t, "setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'echo out >/dev/stdout; echo err >/dev/stderr'")
	if out, err := cmd.Output(); err != nil || string(out) != "out\nerr\n" {
		t.Errorf("another user wrote %q, %v", out, err)
	}
}

func TestStdin(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcde\x00"), 1<<16)
	cmd := under(t, "/bin/cat")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(out, data) {
		t.Errorf("%d of %d bytes, %v", len(out), len(data), err)
	}
}

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "init")
	for range 2 { // a second time over the first
		if err := buildinit.Install(path); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o555 {
		t.Errorf("%v, %v", info, err)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left beside it: %v, %v", entries, err)
	}
	if err := buildinit.Install(filepath.Join(dir, "no", "init")); err == nil {
		t.Error("a directory that is not there is no error")
	}
}

// Await goes on once somebody listens, and not before.
func TestAwait(t *testing.T) {
	// A socket that has the port and does not listen: nobody else can have it meanwhile.
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port)
	if err := buildinit.Await(address, 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), "nobody listens at "+address) {
		t.Errorf("nobody listens: %v", err)
	}
	came := make(chan error, 1)
	go func() { came <- buildinit.Await(address, time.Minute) }()
	if err := unix.Listen(socket, 1); err != nil {
		t.Fatal(err)
	}
	if err := <-came; err != nil {
		t.Errorf("somebody listens later: %v", err)
	}
	for _, bad := range []string{"", "localhost:1", "[::1]:1", "127.0.0.1"} {
		if err := buildinit.Await(bad, time.Minute); err == nil {
			t.Errorf("%q is taken for an address", bad)
		}
	}
}

// TellInput tells of what comes, takes nothing of it, and says nothing before.
func TestTellInput(t *testing.T) {
	for name, sent := range map[string]string{"something": "context", "the end": ""} {
		t.Run(name, func(t *testing.T) {
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			told, log := io.Pipe()
			go buildinit.TellInput(int(out.Fd()), log)
			if _, err := io.WriteString(in, sent); err != nil {
				t.Fatal(err)
			}
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			line := make([]byte, len(buildinit.InputLine)+1)
			if _, err := io.ReadFull(told, line); err != nil || string(line) != buildinit.InputLine+"\n" {
				t.Errorf("%q, %v", line, err)
			}
			if got, err := io.ReadAll(out); err != nil || string(got) != sent {
				t.Errorf("left %q, %v", got, err)
			}
		})
	}
}
