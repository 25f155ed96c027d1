//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"kiln/e2e/harness"
)

// TestDaemonRestart kills the daemon's worker under a step: the step ends with a
// clear line, no line of its log is doubled, the worker that follows clears up
// and serves the next step, and the kubelet sees nothing of it.
func TestDaemonRestart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, after string }{
		{"while the image is built", "building slowly"},
		{"while the action runs", "tick 3\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "restart", func(_ stage, o *harness.PodOptions) { o.ShareProcesses = true })
			action, err := harness.ReadAction(f.testdata("ticks"))
			if err != nil {
				t.Fatal(err)
			}
			u := harness.Use{Uses: "acme/ticks@v1"}
			files, err := action.Files(u)
			if err != nil {
				t.Fatal(err)
			}
			live := &awaited{text: tt.after, seen: make(chan struct{})}
			killed := make(chan error, 1)
			go func() {
				select {
				case <-live.seen:
					killed <- f.SignalDaemon(t.Context(), harness.Worker, "KILL")
				case <-t.Context().Done():
					killed <- t.Context().Err()
				}
			}()
			result, err := f.Step(t.Context(), action.Step(harness.Main, u), files, live)
			if err != nil {
				t.Fatal(err)
			}
			if err := <-killed; err != nil {
				t.Fatal(err)
			}
			wantError(t, result, "restarted")
			wantTicks(t, result.Log)
			f.wantNothingLeft(t)
			next := f.use(t, f.example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
			wantSuccess(t, next)
			if restarts, err := f.Restarts(t.Context()); err != nil || restarts != 0 {
				t.Errorf("the container was restarted %d times, %v", restarts, err)
			}
			f.wantNothingLeft(t)
		})
	}
}

// wantTicks fails the test unless the ticks in the log count up from one.
func wantTicks(t *testing.T, log string) {
	t.Helper()
	next := 1
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "tick ") {
			continue
		}
		if want := fmt.Sprintf("tick %d\n", next); line != want {
			t.Errorf("line %q, want %q:\n%s", line, want, log)
			return
		}
		next++
	}
}

// awaited closes seen once the text was written.
type awaited struct {
	text string
	seen chan struct{}
	once sync.Once
	past bytes.Buffer
}

func (a *awaited) Write(p []byte) (int, error) {
	a.past.Write(p)
	if bytes.Contains(a.past.Bytes(), []byte(a.text)) {
		a.once.Do(func() { close(a.seen) })
	}
	return len(p), nil
}
