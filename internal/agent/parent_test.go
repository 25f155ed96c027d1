package agent_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/agent"
)

// plainPath is a PATH with what the tests' scripts need, and no init.
func plainPath(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sh", "sleep", "setsid", "env", "sort", "grep", "cat", "id", "ls", "sed"} {
		path, err := exec.LookPath(name)
		if err == nil {
			err = os.Symlink(path, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// asFirst makes the process of a command the first one of a namespace, as it is in a
// container.
func asFirst(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	cmd.Env = []string{"PATH=" + plainPath(t)}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		Setsid:      true, // as a container, whose signals to its own group stay in it
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	try := exec.CommandContext(t.Context(), "true")
	try.SysProcAttr = cmd.SysProcAttr
	if err := try.Run(); err != nil {
		if os.Getuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("this machine allows no namespaces: %v", err)
	}
	return cmd
}

// told is the code that an action which has ended has told an outlet, -1 for none: what is
// on its way then takes no time.
func told(o *agent.Outlet, want int) int {
	limit := 100 * time.Millisecond
	if want >= 0 {
		limit = hang
	}
	select {
	case <-o.Ended():
		return o.ExitCode()
	case <-time.After(limit):
		return -1
	}
}

// The first process of a container starts the action, ends what that leaves behind, and
// tells how it ended, unless somebody else may know more of that.
func TestParent(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		code   int
		told   int
		prints string
	}{
		"well":               {"echo out; echo err >&2; echo again > /dev/stdout", 0, 0, "out\nerr\nagain\n"},
		"its own number":     {"[ $$ -gt 1 ]", 0, 0, ""},
		"badly":              {"exit 7", 7, 7, ""},
		"with the last code": {"exit 127", 127, 127, ""},
		"as of a signal":     {"exit 130", 130, -1, ""},
		"of a signal":        {"k=k; ${k}ill -9 $$", 137, -1, ""},
		"of one to all":      {"k=k; trap '' TERM; ${k}ill -TERM 1; exit 3", 3, -1, ""},
		"with one passed on": {"k=k; trap 'echo term; exit 4' TERM; ${k}ill -TERM 1; while :; do sleep 0.01; done", 4, -1, "term\n"},
		"with orphans":       {"(sleep 60; echo late) & setsid sleep 60 > /dev/null 2>&1 & exit 5", 5, 5, ""},
		"of no name":         {"exec /no/program", 127, 127, "sh: 1: exec: /no/program: not found\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, socket := outlet(t)
			began := time.Now()
			action := asFirst(t, become(t, socket, secret, "sh", "-c", tt.script))
			own, _ := action.CombinedOutput()
			printed := pour(t, o)
			got := []any{action.ProcessState.ExitCode(), told(o, tt.told), printed, string(own)}
			if diff := cmp.Diff([]any{tt.code, tt.told, tt.prints, ""}, got); diff != "" {
				t.Errorf("exit code, told, printed, printed apart (-want +got):\n%s", diff)
			}
			if took := time.Since(began); took > hang {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// The end is told when everything of the action has ended, and not before.
func TestParentTellsLast(t *testing.T) {
	o, socket := outlet(t)
	file := filepath.Join(t.TempDir(), "beats")
	action := asFirst(t, become(t, socket, secret, "sh", "-c",
		`setsid sh -c 'while :; do echo beat >> "$0"; done' "$0" > /dev/null 2>&1 & while ! [ -s "$0" ]; do sleep 0.01; done`, file))
	if err := action.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- action.Wait() }()
	if code := told(o, 0); code != 0 {
		t.Fatalf("it told %d", code)
	}
	size := func() int64 {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	at := size()
	if err := <-ended; err != nil || size() != at {
		t.Errorf("ended with %v, and %d bytes were written behind the end", err, size()-at)
	}
}

// An action begins as it would as the first process itself.
func TestParentUnchanged(t *testing.T) {
	const look = `env | sort; grep -E '^(SigBlk|SigIgn|SigCgt|Cap|NoNew)' /proc/self/status; cat /proc/self/limits; umask; pwd; id; ls -l /proc/self/fd | sed "s/.* -> //; s/[0-9]//g" >&2`
	path := plainPath(t)
	run := func(cmd *exec.Cmd) string {
		var own bytes.Buffer
		cmd = asFirst(t, cmd)
		cmd.Env, cmd.Dir = []string{"PATH=" + path, "A=b"}, "/"
		cmd.Stdout, cmd.Stderr = &own, &own
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return own.String()
	}
	want := run(exec.CommandContext(t.Context(), "sh", "-c", look))
	o, socket := outlet(t)
	run(become(t, socket, secret, "sh", "-c", look))
	if diff := cmp.Diff(want, pour(t, o)); diff != "" {
		t.Errorf("an action (-its own start, +as a child):\n%s", diff)
	}
	if told(o, 0) != 0 {
		t.Error("it was no child")
	}
}

// Where an action may want to be the first process, it is that: signals that it sends to
// itself and to its group do not end it.
func TestFirstProcessOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tini", "init"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho $$\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	number := []string{"sh", "-c", "echo $$"}
	for name, tt := range map[string]struct {
		argv   []string
		env    []string
		prints string
	}{
		"tini somewhere":      {number, []string{"PATH=" + plainPath(t) + ":" + dir}, "1\n"},
		"tini by its path":    {[]string{filepath.Join(dir, "tini")}, nil, "1\n"},
		"an init":             {[]string{filepath.Join(dir, "init")}, nil, "1\n"},
		"as is asked for":     {number, []string{"KILN_INIT=off"}, "1\n"},
		"a Go program's flag": {number, []string{"GODEBUG=gctrace=1"}, "1\n"},
		"its whole group":     {[]string{"sh", "-c", "trap 'kill 0' EXIT; echo done"}, nil, "done\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o, socket := outlet(t)
			action := asFirst(t, become(t, socket, secret, tt.argv...))
			action.Env = append(action.Env, tt.env...)
			if out, err := action.CombinedOutput(); err != nil {
				t.Fatalf("%v, %s", err, out)
			}
			if printed, code := pour(t, o), told(o, -1); printed != tt.prints || code != -1 {
				t.Errorf("it printed %q and told %d", printed, code)
			}
		})
	}
}

// What the first process cannot start it says as where it would become the action.
func TestParentNotStarted(t *testing.T) {
	o, socket := outlet(t)
	action := asFirst(t, become(t, socket, secret, "/no/program"))
	err := action.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); !ok || failed.ExitCode() != 127 {
		t.Errorf("%v", err)
	}
	if code := told(o, -1); code != -1 {
		t.Errorf("it told %d", code)
	}
}

// What is no end, or none that may be told, is not taken for one.
func TestOutletIsToldNonsense(t *testing.T) {
	for name, tt := range map[string]struct {
		says string
		told int
	}{
		"an end":       {"E\x00\x00\x00\x01\x03", 3},
		"a high code":  {"E\x00\x00\x00\x01\x80", -1},
		"a signal":     {"T\x00\x00\x00\x01\x09", -1},
		"nothing more": {"E\x00\x00\x00\x01", -1},
		"nonsense":     {"HTTP/1.1 200", -1},
		"a long frame": {"O\x00\x00\xff\xff" + strings.Repeat("x", 1<<10), -1},
	} {
		t.Run(name, func(t *testing.T) {
			o, socket := outlet(t)
			conn := takes(t, o, socket)
			if _, err := io.WriteString(conn, tt.says); err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if got := told(o, tt.told); got != tt.told {
				t.Errorf("told %d, want %d", got, tt.told)
			}
		})
	}
}
