package agent

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestPendingMask: signals of the whole process count, and nothing but what the kernel
// writes is read.
func TestPendingMask(t *testing.T) {
	for name, tt := range map[string]struct {
		status string
		want   uint64
	}{
		"none":            {"SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\n", 0},
		"SIGTERM":         {"Threads:\t7\nShdPnd:\t0000000000004000\nSigBlk:\t0000000000000000\n", 1 << 14},
		"the highest":     {"ShdPnd:\t8000000000000000\n", 1 << 63},
		"one of a thread": {"SigPnd:\t0000000000004000\nShdPnd:\t0000000000000000\n", 0},
		"a blocked one":   {"ShdPnd:\t0000000000000000\nSigBlk:\t0000000000004000\n", 0},
		"a name":          {"Name:\tShdPnd:\t4000\nShdPnd:\t0000000000000002\n", 2},
		"cut":             {"ShdPnd:\t0000000000004000", 0},
		"short":           {"ShdPnd:\t4000\n", 0},
		"long":            {"ShdPnd:\t00000000000000004000\n", 0},
		"no number":       {"ShdPnd:\t000000000000400x\n", 0},
		"more behind it":  {"ShdPnd:\t0000000000004000 1\n", 0},
		"nothing":         {"", 0},
	} {
		if got := pendingMask([]byte(tt.status)); got != tt.want {
			t.Errorf("%s: %x, want %x", name, got, tt.want)
		}
	}
}

// TestOthersSleep: a thread that works is seen, and so is it that none does any more. Each
// has to come to be: the runtime's own threads come and go.
func TestOthersSleep(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("no two threads work at a time")
	}
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
		}
	}()
	await(t, "one works", func() bool { return !othersSleep() })
	over.Store(true)
	<-done
	await(t, "all sleep", othersSleep)
	if pending([]os.Signal{syscall.SIGTERM, syscall.Signal(64)}) {
		t.Error("a signal waits that nobody sent")
	}
}

// await looks for half a minute at what comes to be without an event.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come to be: %s", what)
		}
	}
}
