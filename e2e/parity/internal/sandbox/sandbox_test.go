package sandbox_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/e2e/parity/internal/sandbox"
)

// duration is how long the process that the inside leaves behind would sleep;
// nothing else on a machine sleeps for it.
const duration = "98765.4321"

// modeVariable tells the inside what to do at its end.
const modeVariable = "KILN_SANDBOX_TEST"

// TestMain is also the program that runs inside.
func TestMain(m *testing.M) {
	if group, inside := sandbox.Inside(); inside {
		os.Exit(litter(group, os.Getenv(modeVariable)))
	}
	os.Exit(m.Run())
}

// litter does what a run does, cleans nothing up, and then ends or stays.
func litter(group, mode string) int {
	err := sandbox.Enter()
	if err == nil {
		err = os.WriteFile(filepath.Join(sandbox.Dir, "file"), nil, 0o600)
	}
	if err == nil {
		err = unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "")
	}
	if err == nil {
		err = exec.Command("sleep", duration).Start() //nolint:noctx // it is to outlive this process
	}
	for _, hierarchy := range hierarchies() {
		_ = os.MkdirAll(filepath.Join(hierarchy, group, "build"), 0o755) // not all are writable
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if mode == "stay" {
		fmt.Println("ready")
		for {
			time.Sleep(time.Hour) // until it is killed
		}
	}
	return 7
}

// hierarchies are the roots of control groups: the one of version 2, or those
// of version 1.
func hierarchies() []string {
	below, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs") // the pattern is well formed
	roots := []string{"/sys/fs/cgroup"}
	for _, file := range below {
		roots = append(roots, filepath.Dir(file))
	}
	return roots
}

func TestRunLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	mounts := read(t, "/proc/self/mountinfo")
	for _, mode := range []string{"end", "stay"} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv(modeVariable, mode)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			onOutput(t, cancel)
			code, err := sandbox.Run(ctx)
			if mode == "end" && (err != nil || code != 7) {
				t.Errorf("Run = %d, %v, want 7", code, err)
			}
			if mode == "stay" && err == nil {
				t.Error("Run of a context that ended = nil, want an error")
			}
			if now := read(t, "/proc/self/mountinfo"); now != mounts {
				t.Errorf("mounts before:\n%s\nafter:\n%s", mounts, now)
			}
			if left := sleepers(t); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
			if _, err := os.Lstat(sandbox.Dir); err == nil {
				t.Errorf("%s is left", sandbox.Dir)
			}
			for _, hierarchy := range hierarchies() {
				if left, _ := filepath.Glob(filepath.Join(hierarchy, fmt.Sprintf("kiln-parity-%d", os.Getpid()))); len(left) > 0 {
					t.Errorf("control groups are left: %v", left)
				}
			}
		})
	}
}

// onOutput calls f once something is written to the standard output, during
// this test.
func onOutput(t *testing.T, f func()) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdout
	os.Stdout = in
	done := make(chan struct{})
	go func() {
		defer close(done)
		if n, _ := out.Read(make([]byte, 1)); n > 0 { // the end is no output
			f()
		}
	}()
	t.Cleanup(func() {
		os.Stdout = before
		_ = in.Close()
		<-done
		_ = out.Close()
	})
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sleepers lists the processes of the machine that sleep for the duration.
func sleepers(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, file := range files {
		data, _ := os.ReadFile(file) // a process may end meanwhile
		if words := bytes.Split(data, []byte{0}); slices.ContainsFunc(words, func(w []byte) bool { return string(w) == duration }) {
			left = append(left, strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	return left
}
