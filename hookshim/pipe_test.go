package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// burstBytes is what burst writes: more than a pipe takes by itself (64 KiB).
const burstBytes = 900 << 10

// burst is a hook that writes as node does, never waiting for a reader, and ends.
func burst() {
	check(unix.SetNonblock(unix.Stdout, true))
	for left := strings.Repeat("x", burstBytes); left != ""; {
		n, err := unix.Write(unix.Stdout, []byte(left))
		check(err)
		left = left[n:]
	}
}

// TestDelegateBurst has a delegate that is gone before anybody reads its output.
func TestDelegateBurst(t *testing.T) {
	hook := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(hook, []byte("burst\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("kiln-hook")
	cmd.Env = append(os.Environ(), envDelegate+"="+hook, "KILN_EXCHANGE="+t.TempDir())
	cmd.Stdin = strings.NewReader(`{"command":"run_script_step"}`)
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	err = cmd.Run()
	w.Close()
	if err != nil {
		t.Errorf("the delegate found no room for its output: %v", err)
	}
	out, err := io.ReadAll(r)
	if err != nil || len(out) != burstBytes {
		t.Errorf("read %d bytes, %v; want %d", len(out), err, burstBytes)
	}
}

// TestWiden: a pipe grows as far as it may, and nothing else changes.
func TestWiden(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	size := func() int {
		n, err := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, tt := range []struct{ ask, want int }{{256 << 10, 256 << 10}, {128 << 10, 256 << 10}, {widePipe, widePipe}} {
		widen(int(w.Fd()), tt.ask)
		if got := size(); got != tt.want {
			t.Errorf("asked for %d bytes, the pipe has %d, want %d", tt.ask, got, tt.want)
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	widen(int(file.Fd()), widePipe) // no pipe: nothing to do
}
