package request

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/metrics"
	"kiln/internal/podtest"
	"kiln/internal/spool"
)

const (
	plainDockerfile   = "FROM base.example.com/base:1\nRUN make\n"
	refusedDockerfile = "FROM base.example.com/base:1\nRUNN make\n"
)

// TestSteps carries steps out: with what code they end, what their author reads, how
// many images are built for them, and that nothing of them stays.
func TestSteps(t *testing.T) {
	lost := podtest.Always("get pods", podtest.Forbidden("get", "pods"))
	large := strings.Repeat("x", 1<<20)
	for name, tt := range map[string]struct {
		container  hook.Container
		dockerfile string
		act        func(*podtest.Life)
		faults     podtest.Faults
		change     func(*stage)
		want       answer // its log is a part
		builds     int
	}{
		"a ready image":         {container: ready(), want: answer{0, "hello\n"}},
		"a code":                {container: ready(), act: ends(3), want: answer{3, "::error::the action base.example.com/base:1 ended with exit code 3"}},
		"a Dockerfile":          {container: built(), dockerfile: plainDockerfile, want: answer{0, "hello\n"}, builds: 1},
		"a Dockerfile's action": {container: built(), dockerfile: plainDockerfile, act: ends(3), want: answer{3, "acme/lint/v1 ended with exit code 3"}, builds: 1},
		"one that is refused":   {container: built(), dockerfile: refusedDockerfile, want: answer{1, "[dockerfile_syntax]"}},
		"one without a base":    {container: built(), dockerfile: "FROM base.example.com/none:1\nRUN make\n", want: answer{1, "[base_image_not_found]"}},
		"one that is too large": {container: built(), dockerfile: "#" + large, want: answer{1, "[bad_request]"}},
		"one without a line":    {container: built(), want: answer{1, "[dockerfile_syntax]"}},
		"a large context":       {container: built(), dockerfile: plainDockerfile, change: func(s *stage) { s.settings.ContextMaxBytes = 1 }, want: answer{1, "[bad_request]"}},
		"neither":               {container: hook.Container{}, want: answer{1, "[bad_request]"}},
		"no right to look":      {container: ready(), faults: lost, want: answer{1, "[admission_refused]"}},
		"a pod unlike runners'": {container: ready(), change: func(s *stage) {
			s.cluster.Change("runner-1", func(pod *corev1.Pod) { pod.Spec.Containers = pod.Spec.Containers[:1] })
		}, want: answer{1, "[misconfigured]"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, tt.faults)
				if tt.act != nil {
					s.act = tt.act
				}
				if tt.change != nil {
					tt.change(s)
				}
				got := s.step(t.Context(), tt.container, staged(t, tt.dockerfile))
				if got.code != tt.want.code || !strings.Contains(got.log, tt.want.log) || s.builds != tt.builds {
					t.Errorf("code %d after %d builds, log:\n%s\nwant %d, %d, and %q", got.code, s.builds, got.log, tt.want.code, tt.builds, tt.want.log)
				}
				time.Sleep(time.Minute)
				if left := s.left(); left != "" {
					t.Errorf("left %s", left)
				}
			})
		})
	}
}

// TestSecondStep: an image that was built is used again, and is built once more where the
// nodes do not find it; where that fails, so does the step.
func TestSecondStep(t *testing.T) {
	for name, tt := range map[string]struct {
		missing bool // on the nodes, until it is built once more
		fails   bool // to be built once more
		want    answer
		builds  int
	}{
		"used again":      {want: answer{0, "reused (built "}, builds: 1},
		"built once more": {missing: true, want: answer{0, "it is built once more"}, builds: 2},
		"and fails":       {missing: true, fails: true, want: answer{1, "[admission_refused]"}, builds: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, nil)
				first := s.step(t.Context(), built(), staged(t, plainDockerfile))
				if first.code != 0 {
					t.Fatalf("the first step: code %d, log:\n%s", first.code, first.log)
				}
				time.Sleep(10 * time.Minute)
				s.act = func(life *podtest.Life) {
					if tt.missing && s.builds == 1 {
						life.Waits(job, "ErrImagePull", "manifest unknown")
						<-life.Deleted()
						return
					}
					ends(0)(life)
				}
				if tt.fails {
					s.cluster.Admit = func(pod *corev1.Pod) error {
						if pod.Spec.Containers[0].Name == job {
							return nil
						}
						return podtest.Forbidden("create", "pods").Err
					}
				}
				got := s.step(t.Context(), built(), staged(t, plainDockerfile))
				if got.code != tt.want.code || !strings.Contains(got.log, tt.want.log) || s.builds != tt.builds {
					t.Errorf("code %d after %d builds, log:\n%s\nwant %d, %d, and %q", got.code, s.builds, got.log, tt.want.code, tt.builds, tt.want.log)
				}
			})
		})
	}
}

// TestCancelledStep: whatever a step is at, its author reads why it ends, and nothing
// stays.
func TestCancelledStep(t *testing.T) {
	cause := failure.New(failure.Cancelled, "the step was cancelled")
	// The pod of a build begins after a second, and the build takes five; then the
	// action's pod begins, and its container after five more.
	for _, after := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 8 * time.Second, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, nil)
			s.act = func(life *podtest.Life) {
				if life.Wait(5 * time.Second) {
					life.Start(job)
					<-life.Deleted()
					life.Exit(job, 143)
				}
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(after, func() { cancel(cause) })
			got := s.step(ctx, built(), staged(t, plainDockerfile))
			if got.code != 1 || !strings.Contains(got.log, "the step was cancelled [cancelled]") {
				t.Errorf("after %s: code %d, log:\n%s", after, got.code, got.log)
			}
			time.Sleep(time.Minute)
			if left := s.left(); left != "" {
				t.Errorf("after %s: left %s", after, left)
			}
		})
	}
}

// TestCancelledInARequest: what fails while the step is cancelled is not why it ended.
func TestCancelledInARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := newStage(t, func(call podtest.Call) podtest.Fault {
			if call.Op != "get pods" {
				return podtest.Fault{}
			}
			cancel(failure.New(failure.Cancelled, "the step was cancelled"))
			return podtest.Lost()
		})
		got := s.step(ctx, ready(), nil)
		if want := "the step was cancelled [cancelled]"; got.code != 1 || !strings.Contains(got.log, want) {
			t.Errorf("code %d, log:\n%s\nwant 1 and %q", got.code, got.log, want)
		}
	})
}

// TestAnswerComesFirst: the shim has its result before the action's Job is deleted, and
// what comes after that changes nothing of it.
func TestAnswerComesFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		code int32
		says string
	}{
		"well":        {0, "hello\n"},
		"with a code": {3, "ended with exit code 3"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				var s *stage
				var found []string
				var counted float64
				s = newStage(t, func(call podtest.Call) podtest.Fault {
					if call.Op == "delete jobs" {
						found, _ = filepath.Glob(filepath.Join(s.exchange, "responses", "*", "result.json"))
						counted = s.steps(t)
						cancel(failure.New(failure.Cancelled, "the step was cancelled"))
					}
					return podtest.Fault{}
				})
				s.counting()
				s.act = ends(tt.code)
				got := s.step(ctx, ready(), nil)
				if len(found) != 1 || counted != 1 || s.steps(t) != 1 {
					t.Errorf("%d results are there when the Job is deleted, %v steps were counted then and %v in the end", len(found), counted, s.steps(t))
				}
				if got.code != int(tt.code) || !strings.Contains(got.log, tt.says) || strings.Contains(got.log, "cancelled") {
					t.Errorf("code %d, log:\n%s\nwant %d and %q", got.code, got.log, tt.code, tt.says)
				}
				if errors := strings.Count(got.log, "::error::"); errors != min(int(tt.code), 1) {
					t.Errorf("%d errors are told:\n%s", errors, got.log)
				}
				time.Sleep(time.Minute)
				if left := s.left(); left != "" {
					t.Errorf("left %s", left)
				}
			})
		})
	}
}

// TestEndedBeforeARestart: a daemon that comes after one which was ended between noting how
// a step ended and deleting what it had made deletes that, and answers as it was noted.
func TestEndedBeforeARestart(t *testing.T) {
	for _, away := range []time.Duration{0, 2 * time.Second, 15 * time.Second} {
		t.Run(away.String(), func(t *testing.T) { endedBefore(t, away) })
	}
}

// endedBefore has the API server not be there for a while when the next daemon comes. What it
// cannot delete then it says to be left.
func endedBefore(t *testing.T, away time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		dead, back := true, time.Time{}
		s := newStage(t, func(call podtest.Call) podtest.Fault {
			if dead && strings.HasPrefix(call.Op, "delete ") || time.Now().Before(back) {
				return podtest.Lost()
			}
			return podtest.Fault{}
		})
		s.act = ends(3)
		exchange, err := spool.Open(t.TempDir())
		s.must(err)
		defer exchange.Close()
		s.must(exchange.Init())
		draft, err := exchange.NewDraft()
		s.must(err)
		defer draft.Remove()
		args, err := json.Marshal(ready())
		s.must(err)
		s.must(draft.Drop(spool.Request{Workspace: "/home/runner/_work/app/app", Args: args}))
		first, err := exchange.Claim(draft.ID, 1<<20)
		s.must(err)
		s.must(s.state.Accept(draft.ID))
		first.Keep(s.state.Journal(draft.ID))
		s.handler.Handle(t.Context(), first)
		first.Close()
		if left := s.left(); !strings.Contains(left, "jobs/") || !strings.Contains(left, "secrets/") {
			t.Fatalf("the first daemon has left %q: it was to die before", left)
		}
		dead, back = false, time.Now().Add(away)
		next, err := exchange.Resume(draft.ID, 1<<20, s.state.Journal(draft.ID))
		s.must(err)
		defer next.Close()
		handler := s.newHandler()
		if code := handler.Handle(t.Context(), next); code != 3 || next.Left != (away > 10*time.Second) {
			t.Errorf("code %d, want 3; something is left: %t", code, next.Left)
		}
		time.Sleep(time.Minute)
		if next.Left {
			s.must(handler.Discard(t.Context(), draft.ID))
		}
		if left := s.left(); left != "" {
			t.Errorf("left %s", left)
		}
	})
}

// steps is how many steps have been counted.
func (s *stage) steps(t *testing.T) (all float64) {
	t.Helper()
	families, err := s.counted.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "kiln_requests_total" {
				all += m.GetCounter().GetValue()
			}
		}
	}
	return all
}

// TestKind is what steps are counted as.
func TestKind(t *testing.T) {
	for want, container := range map[metrics.Kind]hook.Container{
		metrics.KindDockerfile: built(), metrics.KindImage: ready(), metrics.KindUnknown: {},
	} {
		if got := (&step{container: container}).kind(); got != want {
			t.Errorf("kind %s, want %s", got, want)
		}
	}
}

// TestUnreadableRequest: what is no request is answered with why.
func TestUnreadableRequest(t *testing.T) {
	s := newStage(t, nil)
	claim := claimOf(t, spool.Request{Args: []byte(`{}`)})
	claim.Bad = errors.New("it is a pipe")
	if code := s.handler.Handle(t.Context(), claim); code != 1 {
		t.Errorf("code %d", code)
	}
}

// TestDiscard deletes what an earlier run has made for a request, and nothing where it
// cannot tell what belongs to this runner.
func TestDiscard(t *testing.T) {
	for name, tt := range map[string]struct {
		faults podtest.Faults
		says   string // "" for no error
	}{
		"well":     {},
		"unasked":  {podtest.Always("get pods", podtest.Lost()), "tell what belongs to this runner"},
		"refused":  {podtest.Always("list pods", podtest.Forbidden("list", "pods")), `needs the verb "list" on "pods"`},
		"timeless": {podtest.Always("list pods", podtest.TimedOut()), "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, tt.faults)
				s.must(s.state.Accept("abcdefghijklmnop"))
				began := time.Now()
				err := errors.Join(s.handler.Discard(t.Context(), "abcdefghijklmnop"), s.handler.Release(t.Context()))
				if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %v, want %q", err, tt.says)
				}
				if took := time.Since(began); took > 2*discardTimeout {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}
