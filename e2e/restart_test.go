//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
)

// TestDaemonRestart kills the daemon's worker under a step: the worker that follows
// goes on with it, every line of the action's log comes once, the next step is
// served, and the kubelet sees nothing of it.
func TestDaemonRestart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, after string }{
		{"while the image is built", "building slowly"},
		{"while the action runs", "tick 3\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := suite.New(t, "restart", func(_ suite.Stage, o *harness.PodOptions) { o.ShareProcesses = true })
			step, files := suite.Main(t, f.Testdata("ticks"))
			playing := f.Start(t.Context(), step, files)
			playing.Await(t, tt.after)
			if err := f.SignalDaemon(t.Context(), harness.Worker, "KILL"); err != nil {
				t.Fatal(err)
			}
			result := playing.Wait(t)
			outcome.Success(t, result)
			outcome.Log(t, result, "tick 40\n")
			wantTicks(t, result.Log)
			f.WantNothingLeft(t)
			next := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
			outcome.Success(t, next...)
			if restarts, err := f.Restarts(t.Context()); err != nil || restarts != 0 {
				t.Errorf("the container was restarted %d times, %v", restarts, err)
			}
			f.WantNothingLeft(t)
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
