package jobdir_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/internal/jobdir"
)

func file(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func prepared(t *testing.T) (work string, dir jobdir.Dir) {
	t.Helper()
	work = t.TempDir()
	dir, err := jobdir.Make(work)
	if err != nil {
		t.Fatal(err)
	}
	return work, dir
}

// wantMode wants a file's kind and rights.
func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != want {
		t.Errorf("%s: %v, %v; want %v", path, info, err, want)
	}
}

func TestLife(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	work, dir := prepared(t)
	path := filepath.Join(work, "_kiln", dir.Name())
	wantMode(t, path, 0o777|fs.ModeDir)
	wantMode(t, filepath.Join(path, "externals"), 0o755|fs.ModeDir)
	if dir.Door() != filepath.Join(path, "door") {
		t.Errorf("the door is %s", dir.Door())
	}
	for _, text := range []string{"the agent", "a newer agent"} {
		program := filepath.Join(t.TempDir(), "kiln-agent")
		file(t, program, text)
		sum, err := dir.PutAgent(program)
		if want := fmt.Sprintf("%x", sha256.Sum256([]byte(text))); err != nil || sum != want {
			t.Errorf("%s, %v; want %s", sum, err, want)
		}
		wantMode(t, filepath.Join(path, "agent"), 0o755)
		if err := dir.CheckAgent(sum); err != nil {
			t.Error(err)
		}
	}
	again, err := jobdir.Open(work, dir.Name())
	if err != nil || again != dir {
		t.Errorf("%v, %v", again, err)
	}
	if err := jobdir.Sweep(work); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := jobdir.Sweep(work); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// TestCheckAgent: whatever is not what was put there is told.
func TestCheckAgent(t *testing.T) {
	for name, change := range map[string]func(agent string) error{
		"changed":  func(agent string) error { return os.WriteFile(agent, []byte("other"), 0o755) },
		"cut off":  func(agent string) error { return os.Truncate(agent, 3) },
		"gone":     os.Remove,
		"a link":   func(agent string) error { return errors.Join(os.Rename(agent, agent+"2"), os.Symlink("agent2", agent)) },
		"a pipe":   func(agent string) error { return errors.Join(os.Remove(agent), unix.Mkfifo(agent, 0o666)) },
		"a folder": func(agent string) error { return errors.Join(os.Remove(agent), os.Mkdir(agent, 0o755)) },
	} {
		t.Run(name, func(t *testing.T) {
			work, dir := prepared(t)
			program := filepath.Join(t.TempDir(), "kiln-agent")
			file(t, program, "the agent")
			sum, err := dir.PutAgent(program)
			if err != nil {
				t.Fatal(err)
			}
			if err := change(filepath.Join(work, "_kiln", dir.Name(), "agent")); err != nil {
				t.Fatal(err)
			}
			if err := dir.CheckAgent(sum); err == nil || !strings.Contains(err.Error(), "check the agent on the work volume") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestSweepKeeps what is not a job's: a repository may be called _kiln.
func TestSweepKeeps(t *testing.T) {
	work, dir := prepared(t)
	file(t, filepath.Join(work, "outside"), "x")
	kept := filepath.Join(work, "_kiln", "_kiln", "README")
	file(t, kept, "x")
	if err := os.Symlink(work, filepath.Join(work, "_kiln", dir.Name(), "up")); err != nil {
		t.Fatal(err)
	}
	if err := jobdir.Sweep(work); err != nil {
		t.Error(err)
	}
	for _, path := range []string{kept, filepath.Join(work, "outside")} {
		wantMode(t, path, 0o755)
	}
	if _, err := os.Stat(filepath.Join(work, "_kiln", dir.Name())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the job's directory: %v", err)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", "..", "/", strings.Repeat("0", 31), strings.Repeat("z", 32), "../" + strings.Repeat("0", 29)} {
		if _, err := jobdir.Open("/work", name); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
}

// TestInTheWay names what stands where the directory should be.
func TestInTheWay(t *testing.T) {
	outside := t.TempDir()
	for name, put := range map[string]func(path string) error{
		"a file": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a link": func(path string) error { return os.Symlink(outside, path) },
	} {
		work := t.TempDir()
		if err := put(filepath.Join(work, "_kiln")); err != nil {
			t.Fatal(err)
		}
		if _, err := jobdir.Make(work); err == nil || !strings.Contains(err.Error(), "_kiln is no directory: remove it") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := jobdir.Make(filepath.Join(outside, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a work folder: %v", err)
	}
}

// TestBring has ten steps ask for one program at a time, of which one copies.
func TestBring(t *testing.T) {
	work, dir := prepared(t)
	externals := t.TempDir()
	text := strings.Repeat("node", 1<<18)
	file(t, filepath.Join(externals, "node24", "bin", "node"), text)
	var copied atomic.Int64
	var steps sync.WaitGroup
	for range 10 {
		steps.Go(func() {
			size, err := dir.Bring(t.Context(), externals, "node24/bin/node")
			if err != nil {
				t.Error(err)
			}
			copied.Add(size)
		})
	}
	steps.Wait()
	if copied.Load() != int64(len(text)) {
		t.Errorf("copied %d bytes of %d", copied.Load(), len(text))
	}
	to := filepath.Join(work, "_kiln", dir.Name(), "externals", "node24", "bin")
	if got, err := os.ReadFile(filepath.Join(to, "node")); err != nil || string(got) != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	wantMode(t, filepath.Join(to, "node"), 0o755)
	if all, err := os.ReadDir(to); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := dir.Bring(t.Context(), externals, "node12/bin/node"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a node that the runner does not have: %v", err)
	}
}

// TestBringCancelled ends while another step copies.
func TestBringCancelled(t *testing.T) {
	_, dir := prepared(t)
	externals := t.TempDir()
	program := filepath.Join(externals, "node")
	file(t, program, "x")
	other, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := dir.Bring(ctx, externals, "node"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestBringHostile has a job that put things where a program goes.
func TestBringHostile(t *testing.T) {
	externals, outside := t.TempDir(), t.TempDir()
	file(t, filepath.Join(externals, "node24", "bin", "node"), "the runner's")
	for name, put := range map[string]func(root string) error{
		"a link out":  func(root string) error { return os.Symlink(outside, filepath.Join(root, "node24")) },
		"a FIFO":      func(root string) error { return unix.Mkfifo(filepath.Join(root, "node24"), 0o600) },
		"a directory": func(root string) error { return os.MkdirAll(filepath.Join(root, "node24", "bin", "node"), 0o755) },
	} {
		work, dir := prepared(t)
		if err := put(filepath.Join(work, "_kiln", dir.Name(), "externals")); err != nil {
			t.Fatal(err)
		}
		if _, err := dir.Bring(t.Context(), externals, "node24/bin/node"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// What stands in the program's own place is replaced.
	work, dir := prepared(t)
	place := filepath.Join(work, "_kiln", dir.Name(), "externals", "node24", "bin", "node")
	file(t, place, "another's")
	if err := os.Remove(place); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "node"), place); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Bring(t.Context(), externals, "node24/bin/node"); err != nil {
		t.Error(err)
	}
	wantMode(t, place, 0o755)
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside: %v, %v", left, err)
	}
}

func TestBringAll(t *testing.T) {
	work, dir := prepared(t)
	externals := t.TempDir()
	file(t, filepath.Join(externals, "node24", "bin", "node"), "node")
	file(t, filepath.Join(externals, "node24", "lib", "npm", "cli.js"), "npm")
	if err := os.Chmod(filepath.Join(externals, "node24", "lib", "npm", "cli.js"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../lib/npm/cli.js", filepath.Join(externals, "node24", "bin", "npm")); err != nil {
		t.Fatal(err)
	}
	size, err := dir.BringAll(t.Context(), externals)
	if err != nil || size != int64(len("nodenpm")) {
		t.Errorf("%d bytes, %v", size, err)
	}
	to := filepath.Join(work, "_kiln", dir.Name(), "externals", "node24")
	wantMode(t, filepath.Join(to, "bin", "node"), 0o755)
	wantMode(t, filepath.Join(to, "lib", "npm", "cli.js"), 0o644)
	if text, err := os.ReadFile(filepath.Join(to, "bin", "npm")); err != nil || string(text) != "npm" {
		t.Errorf("npm is %q, %v", text, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dir.BringAll(ctx, externals); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := dir.BringAll(t.Context(), filepath.Join(externals, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without externals: %v", err)
	}
}
