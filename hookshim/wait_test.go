package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kiln/internal/hook"
	"kiln/internal/spool"
)

// TestExitInTime has calls end that cannot, after a signal: those with a daemon within
// five seconds, and one in the job container before the runner kills.
func TestExitInTime(t *testing.T) {
	for command, most := range map[string]time.Duration{
		hook.RunContainerStep: 5 * time.Second, hook.PrepareJob: 5 * time.Second,
		hook.CleanupJob: 5 * time.Second, hook.RunScriptStep: 10 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			call, _ := newTask(hook.Input{Command: command}, nil) // no arguments: it is not run
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(signalError{syscall.SIGINT})
			begun := time.Now()
			code := exitCode(ctx, make(chan int), call.grace, call.rest)
			if took := time.Since(begun); code != 130 || took >= most {
				t.Errorf("%s: code %d after %s, want 130 before %s", command, code, took, most)
			}
		})
	}
}

// TestExitGoesOn leaves a call whose time was over unnoticed the time to say so.
func TestExitGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(signalError{syscall.SIGTERM})
		ended := make(chan int)
		go func() {
			time.Sleep(cancelGrace + exitGrace/2)
			ended <- 7
		}()
		if code := exitCode(ctx, ended, cancelGrace, exitGrace); code != 143 {
			t.Errorf("code %d, want 143", code)
		}
		synctest.Wait() // the code was taken
	})
}

// TestToldAtOnce wants the daemon told of a cancel before any time has passed, and given
// its time then.
func TestToldAtOnce(t *testing.T) {
	servedExchange(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := openStep(nil)
		if err == nil {
			s.draft, err = s.exchange.NewDraft()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(signalError{syscall.SIGINT})
		late, stop := s.cancelWith(ctx)
		defer stop()
		synctest.Wait()
		told, err := s.exchange.Cancelled()
		if err != nil || len(told) != 1 || late.Err() != nil {
			t.Errorf("told of %v, %v, late: %v; want one, nothing", told, err, late.Err())
		}
		time.Sleep(cancelGrace)
		synctest.Wait()
		if !errors.Is(context.Cause(late), signalError{syscall.SIGINT}) {
			t.Errorf("late: %v, want the cause", context.Cause(late))
		}
	})
}

// TestSaidBeforeCleanup cancels a step and wants the reason said while the request is
// still in the exchange, and nothing left to be said when it is not.
func TestSaidBeforeCleanup(t *testing.T) {
	exchange := servedExchange(t)
	dockerfile := filepath.Join(t.TempDir(), "Dockerfile")
	if err := os.WriteFile(dockerfile, []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	requests := func() int {
		locks, _ := filepath.Glob(filepath.Join(exchange, "*", "*", "lock"))
		return len(locks)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(signalError{syscall.SIGINT})
	var printed bytes.Buffer
	out := &lineWriter{w: writerFunc(func(p []byte) (int, error) {
		if n := requests(); n != 1 {
			t.Errorf("%d requests are there when %q is printed, want 1", n, p)
		}
		return printed.Write(p)
	})}
	code, err := runStep(ctx, hook.Input{}, hook.Container{Dockerfile: dockerfile}, out)
	const want = "::error::kiln: the step was cancelled (interrupt) [cancelled]\n"
	if code != 1 || err != nil || printed.String() != want || requests() != 0 {
		t.Errorf("code %d, %v, %d requests left, printed %q; want 1, nothing left, %q", code, err, requests(), printed.String(), want)
	}
}

// servedExchange is the shim's exchange in this test, which a daemon serves.
func servedExchange(t *testing.T) (path string) {
	t.Helper()
	path = t.TempDir()
	t.Setenv("KILN_EXCHANGE", path)
	t.Setenv("RUNNER_WORKSPACE", "")
	t.Setenv("RUNNER_DEBUG", "")
	exchange, err := spool.Open(path)
	if err == nil {
		err = exchange.Init()
	}
	if err != nil {
		t.Fatal(err)
	}
	lock, err := exchange.LockDaemon()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Release(); _ = exchange.Close() })
	return path
}
