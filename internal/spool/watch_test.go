package spool_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"kiln/internal/spool"
)

// wake waits for w.
func wake(t *testing.T, w *spool.Watcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := next(ctx, w); err != nil {
		t.Fatal("no wake: ", err)
	}
}

// TestWatchEvents wants a wake for what each side waits for, with a tick that
// never comes.
func TestWatchEvents(t *testing.T) {
	dir := exchangeDir(t)
	exchange := open(t, dir)
	daemon := spool.WatchSlow(t.Context(), time.Hour, exchange.WatchDirs()...)
	shim := spool.WatchSlow(t.Context(), time.Hour, exchange.ResponsesDir())
	if daemon.Polling || shim.Polling {
		t.Skip("the kernel gives no inotify instance")
	}

	draft := drop(t, exchange, "")
	wake(t, daemon)
	c := claim(t, exchange, draft.ID)
	wake(t, shim)
	if !shim.Add(exchange.ResponseDir(draft.ID)) {
		t.Fatal("cannot watch the answer")
	}
	if _, err := c.Log.Write([]byte("line\n")); err != nil {
		t.Fatal(err)
	}
	var printed lines
	for printed.n == 0 {
		wake(t, shim)
		if err := draft.Print(&printed); err != nil {
			t.Fatal(err)
		}
	}
	drain(daemon)
	if err := draft.Cancel(); err != nil {
		t.Fatal(err)
	}
	wake(t, daemon)
	drain(shim)
	if err := c.Finish(0); err != nil {
		t.Fatal(err)
	}
	for {
		wake(t, shim)
		if _, ok, err := draft.Result(&printed); err != nil {
			t.Fatal(err)
		} else if ok {
			break
		}
	}
}

// lines counts bytes.
type lines struct{ n int }

// Write counts p.
func (l *lines) Write(p []byte) (int, error) { l.n += len(p); return len(p), nil }

// drain takes the wake that may be there.
func drain(w *spool.Watcher) {
	select {
	case <-w.C:
	default:
	}
}

// TestWatchTick wakes without an event, also for a directory that is not
// there.
func TestWatchTick(t *testing.T) {
	w := spool.WatchSlow(t.Context(), time.Millisecond, filepath.Join(t.TempDir(), "absent"))
	if w.Add(filepath.Join(t.TempDir(), "absent")) && !w.Polling {
		t.Error("Add of a missing directory = true")
	}
	wake(t, w)
	wake(t, w)
}

// TestWatchMerges wants one wake for many events that nobody waited for, and
// the end of the watch with its context. TestMain looks for what is left.
func TestWatchMerges(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := spool.WatchSlow(ctx, time.Hour, dir)
	if w.Polling {
		t.Skip("the kernel gives no inotify instance")
	}
	for i := range 200 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	wake(t, w)
	if got := cap(w.C); got != 1 {
		t.Errorf("wakes pile up to %d", got)
	}
}

// TestWatchWithoutInstances runs a process that can open no more files: it
// must poll.
func TestWatchWithoutInstances(t *testing.T) {
	p := start(t, "starve", t.TempDir(), nil)
	if got := p.line(t); got != "polling" {
		t.Errorf("process prints %q, want polling", got)
	}
	p.wait(t)
}

// roleStarve watches with no file descriptor left.
func roleStarve(dir string) error {
	r, w, err := os.Pipe() // opens what the runtime itself needs
	if err != nil {
		return err
	}
	lowest := uint64(r.Fd()) // no lower descriptor was free
	_, _ = r.Close(), w.Close()
	limit := syscall.Rlimit{Cur: lowest, Max: lowest}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	return expectPolling(dir)
}

// expectPolling watches dir and prints whether the watch polls.
func expectPolling(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w := spool.WatchSlow(ctx, time.Hour, dir)
	for range 3 {
		if err := next(ctx, w); err != nil {
			return err
		}
	}
	if !w.Polling || !w.Add(dir) {
		return fmt.Errorf("watcher does not poll")
	}
	fmt.Println("polling")
	return nil
}

// TestWatchWithoutWatches runs a process in a user namespace that gives
// inotify instances and no watches.
func TestWatchWithoutWatches(t *testing.T) {
	p := start(t, "unwatch", t.TempDir(), func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	})
	switch got := p.line(t); got {
	case "polling":
	case "skip":
		t.Skip("cannot limit watches here")
	default:
		t.Errorf("process prints %q, want polling", got)
	}
	p.wait(t)
}

// roleUnwatch forbids itself inotify watches.
func roleUnwatch(dir string) error {
	if err := os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("0"), 0); err == nil {
		return expectPolling(dir)
	}
	fmt.Println("skip")
	return nil
}
