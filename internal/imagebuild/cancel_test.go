package imagebuild_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"kiln/internal/failure"
	"kiln/internal/podtest"
)

// TestCancel cancels a build at each of its moments, by each cause: it ends with the
// cause, soon, and nothing of it stays.
func TestCancel(t *testing.T) {
	for name, tt := range map[string]struct {
		moment   string // of the pod
		op       string // or the request during which it is cancelled
		pods     int
		contexts int
		sending  bool // the context may be on its way already
	}{
		"while registries are asked":    {op: "get manifests"},
		"while the pod is made":         {op: "create pods", pods: 1},
		"before the pod is seen":        {op: "list pods", pods: 1},
		"while the context is sent":     {op: "attach pods", pods: 1},
		"while the pod waits":           {moment: created, pods: 1},
		"while Kaniko does not run yet": {moment: listening, pods: 1},
		"while Kaniko waits":            {moment: waiting, pods: 1, sending: true},
		"when Kaniko has the context":   {moment: begun, pods: 1, contexts: 1},
		"in a RUN":                      {moment: running, pods: 1, contexts: 1},
	} {
		for _, cause := range []error{
			errCancelled,
			failure.New(failure.Cancelled, "the runner's hook process has gone"),
			failure.New(failure.Deadline, "the job's time is over"),
		} {
			t.Run(name+"/"+cause.Error(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					ctx, cancel := context.WithCancelCause(t.Context())
					var at time.Time
					end := func() { at = time.Now(); cancel(cause) }
					w.at = func(_ *podtest.Life, _ int, moment string) bool {
						if moment == tt.moment {
							end()
							synctest.Wait() // what the pod does next comes after what the step does of it
						}
						return true
					}
					during := func(call podtest.Call) podtest.Fault {
						if call.Op == tt.op && call.Count == 1 {
							end()
						}
						return podtest.Fault{}
					}
					outcome, err := w.runner("a", during, during).image(ctx)
					took := time.Since(at)
					if !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
						t.Errorf("error %v, want %v", err, cause)
					}
					if took > 5*time.Second {
						t.Errorf("ended %v after it was cancelled", took)
					}
					want, got := ending{string(failure.Of(cause)), tt.pods, tt.contexts, ""}, w.ending(outcome)
					if tt.sending {
						want.Contexts = min(got.Contexts, 1)
					}
					if diff := gocmp.Diff(want, got); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				})
			})
		}
	}
}

// TestNoAttemptAfterACancel: a request that fails while the step is cancelled is not said
// to be a failed attempt, after which another one would come.
func TestNoAttemptAfterACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		r := w.runner("a", func(call podtest.Call) podtest.Fault {
			if call.Op != "create pods" {
				return podtest.Fault{}
			}
			cancel(errCancelled)
			return podtest.Lost()
		}, nil)
		outcome, _ := r.image(ctx)
		if diff := gocmp.Diff(ending{"cancelled", 0, 0, ""}, w.ending(outcome)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if strings.Contains(r.log.String(), "attempt") {
			t.Errorf("log:\n%s", r.log.String())
		}
	})
}
