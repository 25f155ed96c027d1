package actionrun_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kiln/internal/actionrun"
	"kiln/internal/podtest"
)

// TestOver: the end of an action is told when its Secret is gone and its Job and pod are
// not, and only where nobody ended it; in the end nothing is left.
func TestOver(t *testing.T) {
	lost := podtest.Always("delete secrets", podtest.Forbidden("delete", "secrets"))
	for name, tt := range map[string]struct {
		run    func(*podtest.Life)
		faults podtest.Faults
		limit  time.Duration // of the step's context
		told   string        // what was there then, "" where it was not told
		left   string        // in the end

		timeout time.Duration // of an action
	}{
		"well":             {run: prints(0), told: "jobs pods"},
		"with a code":      {run: prints(3), told: "jobs pods"},
		"cancelled":        {run: prints(0), limit: 3 * time.Second},
		"its Secret stays": {run: prints(0), faults: lost, left: "secrets"},
		// Its log is still being read.
		"cancelled behind its end": {run: prints(0), faults: podtest.Always("get pods/log", podtest.Fault{Silent: true}), limit: 8 * time.Second},
		"too long":                 {run: prints(0), timeout: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, tt.run, tt.faults)
				if tt.timeout > 0 {
					s.options.StepTimeout = tt.timeout
				}
				var told string
				s.step.Over = func(int, error) { told = s.left() }
				ctx := t.Context()
				if tt.limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeoutCause(ctx, tt.limit, errors.New("the step was cancelled"))
					defer cancel()
				}
				_, _ = s.run(ctx, actionrun.Image{Reference: "busybox"})
				time.Sleep(time.Minute)
				if left := s.left(); told != tt.told || left != tt.left {
					t.Errorf("told with %q there, and left %q; want %q and %q", told, left, tt.told, tt.left)
				}
			})
		})
	}
}

// TestNextWaits: nothing is made for an action while that of another is deleted.
func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, prints(0), nil)
		runner, err := actionrun.New(s.options)
		if err != nil {
			t.Fatal(err)
		}
		run := func(step actionrun.Step) {
			if code, err := runner.Action(step).Run(t.Context(), actionrun.Image{Reference: "busybox"}); code != 0 || err != nil {
				t.Errorf("code %d, error %v", code, err)
			}
		}
		next := make(chan struct{})
		first, second := s.step, s.step
		second.ID = "request-2"
		first.Over = func(int, error) {
			go func() {
				defer close(next)
				run(second)
			}()
			time.Sleep(time.Hour) // the shim has its answer, and nothing is deleted yet
			if there, made := s.left(), s.client.Calls("create jobs"); there != "jobs pods" || made != 1 {
				t.Errorf("%q is there while an action is deleted, and %d Jobs were made", there, made)
			}
		}
		run(first)
		<-next
		if made := s.client.Calls("create jobs"); made != 2 {
			t.Errorf("%d Jobs were made, want 2", made)
		}
		if left := s.left(); left != "" {
			t.Errorf("left %q", left)
		}
	})
}
