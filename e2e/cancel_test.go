//go:build e2e

package e2e_test

import (
	"testing"
	"time"

	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// TestCancel ends steps from outside, in the ways in which a runner does.
func TestCancel(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "cancel", nil)
	term := &runner.Interrupt{After: "working", Signals: []runner.TimedSignal{{Name: "TERM", Wait: 10 * time.Second}, {Name: "KILL"}}}
	kill := &runner.Interrupt{After: "working", Signals: []runner.TimedSignal{{Name: "KILL"}}}
	tests := []struct {
		name      string
		action    string
		interrupt *runner.Interrupt
		wantCode  int
	}{
		{"SIGINT while the action runs", "slow-run", runner.Cancel("working"), 130},
		{"SIGTERM while the action runs", "slow-run", term, 143},
		{"SIGINT while the image is built", "slow-build", runner.Cancel("building slowly"), 130},
		{"the shim is killed", "slow-run", kill, 137},
	}
	t.Run("cases", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				step, files := suite.Main(t, f.Testdata(tt.action))
				step.Interrupt = tt.interrupt
				result := f.Play(t, step, files)
				if result.ExitCode != tt.wantCode {
					t.Errorf("exit code = %d (%s), want %d:\n%s", result.ExitCode, result.Signal, tt.wantCode, result.Log)
				}
				if result.Stopped == 0 || result.Stopped > shimGone {
					t.Errorf("the shim took %v to end, want it gone within %v of the first signal", result.Stopped, shimGone)
				}
			})
		}
	})
	t.Run("nothing is left", f.WantNothingLeft)
}
