package agent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/internal/agent"
)

func TestOutcome(t *testing.T) {
	dir := t.TempDir()
	for name, file := range map[string]struct {
		text string
		mode os.FileMode
	}{"text": {"#!/bin/sh\n", 0o644}, "orphan": {"#!/no/such/python -u\n", 0o755}, "blank": {"x", 0o755}} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(file.text), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	const unable = "unable to start container process: "
	noexec := func(name string) agent.Call { return agent.Call{Argv: []string{filepath.Join(dir, name)}} }
	c := start(t)
	for name, tt := range map[string]struct {
		call agent.Call
		code int
		said string // NotStarted, with DIR for the directory
	}{
		"well":               {sh("exit 0"), 0, ""},
		"badly":              {sh("exit 7"), 7, ""},
		"255":                {sh("exit 255"), 255, ""},
		"killed":             {sh("kill -9 $$"), 137, ""},
		"a fault":            {sh("kill -SEGV $$"), 139, ""},
		"not in PATH":        {agent.Call{Argv: []string{"no-such-shell"}}, 127, unable + `exec: "no-such-shell": executable file not found in $PATH`},
		"an empty name":      {agent.Call{Argv: []string{""}}, 127, unable + `exec: "": executable file not found in $PATH`},
		"absent":             {agent.Call{Argv: []string{"/no/sh"}}, 127, unable + `exec: "/no/sh": no such file or directory`},
		"not executable":     {noexec("text"), 126, unable + `exec: "DIR/text": permission denied`},
		"a directory":        {agent.Call{Argv: []string{dir}}, 126, unable + `exec: "DIR": is a directory`},
		"no interpreter":     {noexec("orphan"), 127, unable + `exec: "DIR/orphan": no such file or directory: it needs /no/such/python, which this image does not have`},
		"no format":          {noexec("blank"), 128, unable + `exec: "DIR/blank": exec format error: it is made for another architecture, or a script without #! line`},
		"no directory":       {agent.Call{Argv: []string{"sh"}, Dir: "/no/dir"}, 127, unable + `chdir to cwd ("/no/dir"): no such file or directory`},
		"a file as one":      {agent.Call{Argv: []string{"sh"}, Dir: dir + "/text"}, 127, unable + `chdir to cwd ("DIR/text"): not a directory`},
		"a directory, a dot": {agent.Call{Argv: []string{"./orphan"}, Dir: dir}, 127, unable + `exec: "./orphan": no such file or directory: it needs /no/such/python, which this image does not have`},
		"too long a value":   {agent.Call{Argv: []string{"sh"}, Env: []string{"A=" + strings.Repeat("x", 140<<10)}}, 128, unable + `exec: "sh": argument list too long`},
		"too long a call":    {agent.Call{Argv: []string{"sh", strings.Repeat("x", 5<<20)}}, 128, unable + `exec: "sh": argument list too long`},
		"limits, absent":     {agent.Call{Argv: []string{dir + "/orphan"}, Limits: []agent.Limit{{Resource: unix.RLIMIT_CORE}}}, 127, unable + `exec: "DIR/orphan": no such file or directory: it needs /no/such/python, which this image does not have`},
	} {
		for way, door := range c.doors() {
			t.Run(name+" "+way, func(t *testing.T) {
				got, printed := run(t, door, tt.call)
				said := strings.ReplaceAll(got.NotStarted, dir, "DIR")
				if got.Code != tt.code || said != tt.said || printed != "" || got.Relayed != (way == "tcp" && said == "") {
					t.Errorf("%+v, %q; want %d, %q", got, printed, tt.code, tt.said)
				}
			})
		}
	}
}

// What a step begins with, though its agent began with signals ignored.
func TestBeginning(t *testing.T) {
	dir, socket := t.TempDir(), filepath.Join(t.TempDir(), "s")
	cmd := own(t, socket)
	cmd.Args = []string{"/bin/sh", "-c", `umask 077; ulimit -Sn 512; trap "" HUP INT TSTP TTIN CONT PIPE USR1; exec "$0"`, cmd.Path}
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "KUBERNETES_SERVICE_HOST=10.0.0.1", "IMAGE=own", "HOME=")
	c := startAs(t, cmd, socket)
	for _, tt := range []struct{ name, script, want string }{
		{"signals", `grep -E "^Sig(Blk|Ign)" /proc/self/status`, "SigBlk:\t0000000000000000\nSigIgn:\t" + library(t) + "\n"},
		{"limit of files", "ulimit -Sn", "512\n"},
		{"umask", "umask", "0022\n"},
		{"session", `cut -d" " -f6 /proc/$$/stat | grep -qx $$ && echo own`, "own\n"},
		{"standard input", "[ -p /dev/stdin ] && cat && echo ended", "ended\n"},
		{"descriptors, the shell's of the directory too", "echo /proc/$$/fd/*; :", "/proc/*/fd/0 /proc/*/fd/1 /proc/*/fd/2 /proc/*/fd/3\n"},
		{"directory", "pwd", dir + "\n"},
		{"environment", `echo "$KUBERNETES_SERVICE_HOST,$IMAGE,$STEP,$KILN_TEST_AGENT"`, ",own,é \"$'\n=,\n"},
		{"path", "echo $PATH", "/new:" + os.Getenv("PATH") + "\n"},
		{"order", "echo 1; echo 2 >&2; echo 3; echo 4 >&2", "1\n2\n3\n4\n"},
		{"both streams open", "stat -L -c %a /dev/stdout /dev/stderr; echo out >/dev/stdout; echo err >/dev/stderr", "666\n666\nout\nerr\n"},
	} {
		for way, door := range c.doors() {
			t.Run(tt.name+" "+way, func(t *testing.T) {
				call := sh(tt.script)
				call.Dir, call.Env, call.Prepend = dir, []string{"STEP=é \"$'\n=", "PATH=/author"}, []string{"/new"}
				_, got := run(t, door, call)
				if got = procPID.ReplaceAllString(got, "/proc/*/"); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		}
	}
}

// library is which of the C library's own two signals, 32 and 33, this process was
// started with as ignored, as the kernel shows it: Go's runtime leaves them as they
// came, so they come to steps too.
func library(t *testing.T) string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`SigIgn:\t([0-9a-f]{16})`).FindSubmatch(status)
	ignored, err := strconv.ParseUint(string(found[1]), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%016x", ignored&(3<<31))
}

// procPID is a process's directory.
var procPID = regexp.MustCompile(`/proc/\d+/`)

// A program of another user opens /dev/stdout anew, though root made the pipe.
func TestOpenToEveryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("another user is only for root to become")
	}
	c := start(t)
	for way, door := range c.doors() {
		_, said := run(t, door, sh("setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'echo out >/dev/stdout; echo err >/dev/stderr'"))
		if said != "out\nerr\n" {
			t.Errorf("%s: %q", way, said)
		}
	}
}

// An agent of another user than the client's serves it on the socket.
func TestAnyUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("another user is only for root to become")
	}
	dir, err := os.MkdirTemp("/tmp", "kiln-agent-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cmd := own(t, filepath.Join(dir, "s"))
	program, err := os.ReadFile(cmd.Path)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "agent"), program, 0o755)
	}
	if err = errors.Join(err, os.Chmod(dir, 0o1777)); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Dir = filepath.Join(dir, "agent"), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	c := startAs(t, cmd, filepath.Join(dir, "s"))
	if outcome, said := run(t, c.unix, sh("id -u; echo again >/dev/stdout")); outcome.Relayed || said != "65534\nagain\n" {
		t.Errorf("%+v, %q", outcome, said)
	}
}

func TestLimits(t *testing.T) {
	c := start(t)
	call := sh("ulimit -Sn; ulimit -Hn; ulimit -c; echo $0 $A", "zero")
	call.Env = []string{"A=b"}
	call.Limits = []agent.Limit{{Resource: unix.RLIMIT_NOFILE, Soft: 100, Hard: 200}, {Resource: unix.RLIMIT_CORE}}
	for way, door := range c.doors() {
		outcome, said := run(t, door, call)
		if outcome.Code != 0 || said != "100\n200\n0\nzero b\n" {
			t.Errorf("%s: %+v, %q", way, outcome, said)
		}
	}
	call.Limits = []agent.Limit{{Resource: unix.RLIMIT_NOFILE, Soft: 1 << 40, Hard: 1 << 40}} // above fs.nr_open
	if outcome, _ := run(t, c.unix, call); outcome.Code != 128 || !strings.Contains(outcome.NotStarted, "setrlimit 7: operation not permitted") {
		t.Errorf("%+v", outcome)
	}
}

// TestUlimits: the limits that an agent is started with are those of its steps, and a
// hard limit that the system does not let it raise is told to who asks.
func TestUlimits(t *testing.T) {
	cmd := own(t, filepath.Join(t.TempDir(), "s"))
	socket := strings.TrimPrefix(cmd.Env[len(cmd.Env)-2], asAgent+"=")
	cmd.Env = append(cmd.Env, ulimits+"=nofile=100:-1 core=0:0") // no system has no limit of files
	c := startAs(t, cmd, socket)
	var most unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &most); err != nil {
		t.Fatal(err)
	}
	for way, door := range c.doors() {
		outcome, said := run(t, door, sh("ulimit -Sn; ulimit -Hn; ulimit -c"))
		if want := fmt.Sprintf("100\n%d\n0\n", most.Max); outcome.Code != 0 || said != want {
			t.Errorf("%s: %+v, %q, want %q", way, outcome, said, want)
		}
		if welcome, err := door.Probe(t.Context()); err != nil || welcome.Short != fmt.Sprintf("nofile %d", most.Max) {
			t.Errorf("%s: %+v, %v", way, welcome, err)
		}
	}
	call := sh("ulimit -Sn")
	call.Limits = []agent.Limit{{Resource: unix.RLIMIT_NOFILE, Soft: 50, Hard: 60}}
	if _, said := run(t, c.unix, call); said != "50\n" {
		t.Errorf("the call's own limit: %q", said)
	}
}

// TestParseUlimit: names and numbers as Docker has them.
func TestParseUlimit(t *testing.T) {
	for text, want := range map[string]agent.Limit{
		"nofile=1:2": {Resource: unix.RLIMIT_NOFILE, Soft: 1, Hard: 2},
		"nproc=0:-1": {Resource: unix.RLIMIT_NPROC, Hard: unix.RLIM_INFINITY},
	} {
		if got, err := agent.ParseUlimit(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "nofile", "nofile=1", "files=1:2", "core=2:1", "core=-1:1", "core=1:x"} {
		if got, err := agent.ParseUlimit(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// A signal reaches all of a step's session, groups of their own included.
func TestSignals(t *testing.T) {
	c := start(t)
	for way, door := range c.doors() {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1} {
			t.Run(way+" "+signal.String(), func(t *testing.T) {
				number := fmt.Sprint(int(signal))
				r := begin(t, door, `exec 2>/dev/null; set -m; trap "wait; exit 9" `+number+`
					sh -c 'trap "echo heard; exit" `+number+`; echo child; while :; do sleep 0.01; done' &
					while :; do sleep 0.01; done`)
				if said := r.line(t); said != "child" {
					t.Fatal(said)
				}
				r.signals <- signal
				if said := r.line(t); said != "heard" {
					t.Error(said)
				}
				<-r.ended
				if r.err != nil || r.outcome.Code != 9 {
					t.Errorf("%+v, %v", r.outcome, r.err)
				}
			})
		}
	}
}

// Nothing of a step outlives SIGKILL, nor a client that is gone: not what
// ignores other signals, not a group nor a session of its own.
func TestKilled(t *testing.T) {
	const script = `trap "" INT TERM; set -m; sleep 60 & a=$!; setsid sleep 60 & b=$!; echo $$ $a $b; wait`
	c := start(t)
	for way, door := range c.doors() {
		t.Run(way+" by a signal", func(t *testing.T) {
			r := begin(t, door, script)
			pids := r.pids(t)
			r.signals <- syscall.SIGINT
			r.signals <- syscall.SIGKILL
			if <-r.ended; r.outcome.Signal != syscall.SIGKILL || r.outcome.Code != 137 {
				t.Errorf("%+v, %v", r.outcome, r.err)
			}
			for _, pid := range pids {
				eventually(t, "all have ended", func() bool { return gone(pid) })
			}
		})
		t.Run(way+" by a client that is gone", func(t *testing.T) {
			r := begin(t, door, script)
			pids := r.pids(t)
			r.cancel()
			if <-r.ended; !errors.Is(r.err, context.Canceled) {
				t.Errorf("%+v, %v", r.outcome, r.err)
			}
			for _, pid := range pids {
				eventually(t, "all have ended", func() bool { return gone(pid) })
			}
		})
	}
}

// What a step leaves running works on and holds nothing; all that the step
// printed is there, though its reader came late.
func TestBackground(t *testing.T) {
	c := start(t)
	for way, door := range c.doors() {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			output := &lateWriter{until: time.Now().Add(agent.Grace + time.Second)}
			begun := time.Now()
			outcome, err := door.Run(t.Context(), agent.Step{
				Call: sh("sleep 60 & echo $!; head -c 50000 /dev/zero; exit 3"), Output: output,
			})
			if took := time.Since(begun); err != nil || outcome.Code != 3 || took > hang {
				t.Fatalf("%+v, %v after %v", outcome, err, took)
			}
			line, rest, _ := bytes.Cut(output.data, []byte("\n"))
			if len(rest) != 50000 {
				t.Errorf("%d bytes", len(rest))
			}
			_, alive := run(t, door, sh("kill -0 "+string(line)+" && echo alive; kill "+string(line)))
			if alive != "alive\n" {
				t.Errorf("the process of the step before: %q", alive)
			}
		})
	}
}

// A lateWriter takes nothing until its time.
type lateWriter struct {
	until time.Time
	data  []byte
}

func (w *lateWriter) Write(p []byte) (int, error) {
	time.Sleep(time.Until(w.until))
	w.data = append(w.data, p...)
	return len(p), nil
}

// Ten steps run at once, each with its own output and end.
func TestTenAtOnce(t *testing.T) {
	c := start(t)
	dir := t.TempDir()
	// Each of the ten is there before any of them ends.
	meet := "touch " + dir + "/$0; while [ $(ls " + dir + " | wc -l) -lt 10 ]; do sleep 0.01; done; echo $0; exit $0"
	var all sync.WaitGroup
	for i := range 10 {
		door := []agent.Door{c.unix, c.tcp}[i%2]
		all.Go(func() {
			var output bytes.Buffer
			outcome, err := door.Run(t.Context(), agent.Step{Call: sh(meet, fmt.Sprint(i)), Output: &output})
			if err != nil || outcome.Code != i || output.String() != fmt.Sprintln(i) {
				t.Errorf("%d: %+v, %q, %v", i, outcome, output.String(), err)
			}
		})
	}
	all.Wait()
}

func TestEveryByte(t *testing.T) {
	const size = 50 << 20
	c := start(t)
	for way, door := range c.doors() {
		sum, want := sha256.New(), sha256.New()
		outcome, err := door.Run(t.Context(), agent.Step{Call: sh(pattern(size)), Output: sum})
		if err != nil || outcome.Code != 0 {
			t.Fatalf("%s: %+v, %v", way, outcome, err)
		}
		line := []byte("0123456789abcde\n")
		for range size / len(line) {
			_, _ = want.Write(line)
		}
		if !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
			t.Errorf("%s: other bytes than were printed", way)
		}
	}
}

// pattern prints size bytes, lines of sixteen.
func pattern(size int) string { return fmt.Sprintf("yes 0123456789abcde | head -c %d", size) }

// A container that is told to end tells its clients and its steps.
func TestStopping(t *testing.T) {
	c := start(t)
	steps := map[string]*running{}
	for way, door := range c.doors() {
		steps[way] = begin(t, door, `trap "exit 6" TERM; echo ready; while :; do sleep 0.01; done`)
		steps[way].line(t)
	}
	if err := c.cmd.Process.Signal(syscall.SIGWINCH); err != nil { // httpd's
		t.Fatal(err)
	}
	for way, r := range steps {
		if <-r.ended; r.err != nil || r.outcome.Code != 6 || !r.outcome.Stopping {
			t.Errorf("%s: %+v, %v", way, r.outcome, r.err)
		}
	}
	if err := c.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A door of any length of path opens, also where a socket of an earlier job is.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	for range 2 {
		c := startAs(t, own(t, socket), socket)
		if welcome, err := c.unix.Probe(t.Context()); err != nil || !welcome.Descriptors || welcome.Version != agent.Version {
			t.Errorf("%+v, %v", welcome, err)
		}
		if welcome, err := c.tcp.Probe(t.Context()); err != nil || welcome.Descriptors {
			t.Errorf("%+v, %v", welcome, err)
		}
		if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o666 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if _, err := (agent.Door{Socket: socket + "x"}).Probe(t.Context()); !errors.Is(err, agent.ErrShut) {
		t.Error(err)
	}
	if _, err := (agent.Door{Socket: socket + "x"}).Run(t.Context(), agent.Step{Call: sh("true"), Output: io.Discard}); !errors.Is(err, agent.ErrShut) {
		t.Error(err)
	}
}
