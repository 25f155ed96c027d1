package request

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/hook"
	"kiln/internal/label"
	"kiln/internal/metrics"
	"kiln/internal/podtest"
	"kiln/internal/spool"
)

// begin has a job begin and returns what the ids of its wishes begin with.
func (s *stage) begin() string {
	job := spool.NewWishJob()
	s.handler.BeginJob(job)
	return job
}

// wish hands a wish for a Dockerfile over and takes it.
func (s *stage) wish(job string, rank int, dockerfile string) *spool.TakenWish {
	s.t.Helper()
	exchange, err := spool.Open(s.t.TempDir())
	s.must(err)
	s.t.Cleanup(func() { _ = exchange.Close() })
	s.must(exchange.Init())
	draft, err := exchange.NewWish(spool.WishID(job, rank))
	s.must(err)
	defer draft.Remove()
	archive := staged(s.t, dockerfile)
	s.must(draft.WriteContext(func(w io.Writer) error { _, err := w.Write(archive); return err }))
	s.must(draft.Wish(spool.Wish{
		Dockerfile: "Dockerfile", Path: built().Dockerfile, Workspace: "/home/runner/_work/app/app",
		Env: map[string]string{"GITHUB_JOB": "test"},
	}))
	taken, err := exchange.TakeWish(draft.ID)
	s.must(err)
	return taken
}

// counting has the stage count.
func (s *stage) counting() *metrics.Metrics {
	s.counted = metrics.New(metrics.Options{})
	s.handler = s.newHandler()
	return s.counted
}

// counts are the wishes and builds that were counted, by outcome.
func counts(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, family := range families {
		name, _ := strings.CutPrefix(family.GetName(), "kiln_")
		if name = strings.TrimSuffix(name, "_total"); name != "wishes" && name != "builds" {
			continue
		}
		for _, series := range family.GetMetric() {
			for range int(series.GetCounter().GetValue()) {
				out = append(out, name+" "+series.GetLabel()[0].GetValue())
			}
		}
	}
	return strings.Join(out, ", ")
}

// TestWishes carries wishes out, and steps that come after or meanwhile.
func TestWishes(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile string
		wait       time.Duration // from the wish to the step; none is no step
		step       string        // a part of the step's log
		want       string
		builds     int
	}{
		"before its step":    {plainDockerfile, time.Minute, "reused (built ", "builds reused, wishes built", 1},
		"taken over":         {plainDockerfile, 3 * time.Second, "following the build that runner-1 began", "builds followed, wishes built", 1},
		"without a step":     {plainDockerfile, 0, "", "wishes built", 1},
		"refused":            {refusedDockerfile, 0, "", "wishes failed", 0},
		"refused, then told": {refusedDockerfile, time.Minute, "[dockerfile_syntax]", "builds failed, wishes failed", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, nil)
				counted := s.counting()
				wish := s.wish(s.begin(), 0, tt.dockerfile)
				go s.handler.Wish(t.Context(), wish)
				if tt.wait > 0 {
					time.Sleep(tt.wait)
					if got := s.step(t.Context(), built(), staged(t, tt.dockerfile)); !strings.Contains(got.log, tt.step) {
						t.Errorf("the step's log:\n%s\nwant %q", got.log, tt.step)
					}
				}
				time.Sleep(time.Minute)
				if got := counts(t, counted); got != tt.want || s.builds != tt.builds {
					t.Errorf("counted %s after %d builds, want %s and %d", got, s.builds, tt.want, tt.builds)
				}
				if left := s.left(); left != "" {
					t.Errorf("left %s", left)
				}
				if kept, err := s.state.Accepted(); err != nil || len(kept) > 0 {
					t.Errorf("the state keeps %v, %v", kept, err)
				}
			})
		})
	}
}

// TestAChangedAction ends the wish for the files that it had before.
func TestAChangedAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		counted := s.counting()
		s.takes.Store(int64(time.Hour))
		go s.handler.Wish(t.Context(), s.wish(s.begin(), 0, plainDockerfile))
		time.Sleep(4 * time.Second)
		s.takes.Store(int64(5 * time.Second))
		if got := s.step(t.Context(), built(), staged(t, plainDockerfile+"RUN other\n")); got.code != 0 {
			t.Errorf("the step ended with %d:\n%s", got.code, got.log)
		}
		time.Sleep(time.Minute)
		if got := counts(t, counted); got != "builds built, wishes cancelled" {
			t.Errorf("counted %s", got)
		}
		if left := s.left(); left != "" {
			t.Errorf("left %s", left)
		}
	})
}

// TestAStepBeforeItsWish leaves nothing for the wish to do: neither with the files that it
// had before nor with the step's own; also where the step comes while the files of the wish
// are being read. The next job's wishes are carried out.
func TestAStepBeforeItsWish(t *testing.T) {
	const changed = plainDockerfile + "RUN other\n"
	for name, tt := range map[string]struct {
		step    string        // its Dockerfile
		after   time.Duration // from the step's beginning to the wish's turn
		reading bool          // the step comes with that
		next    bool          // the wish is one of the next job
		want    metrics.Wish
		builds  int
	}{
		"changed":            {step: changed, after: time.Minute, want: metrics.WishCancelled, builds: 1},
		"changed just now":   {step: changed, after: 3 * time.Second, want: metrics.WishCancelled, builds: 1},
		"changed meanwhile":  {step: changed, reading: true, want: metrics.WishCancelled, builds: 1},
		"the same":           {step: plainDockerfile, after: time.Minute, want: metrics.WishCancelled, builds: 1},
		"the same just now":  {step: plainDockerfile, after: 3 * time.Second, want: metrics.WishCancelled, builds: 1},
		"the same meanwhile": {step: plainDockerfile, reading: true, want: metrics.WishCancelled, builds: 1},
		"the next job":       {step: changed, after: time.Minute, next: true, want: metrics.WishBuilt, builds: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, nil)
				job := s.begin()
				step := func() {
					if got := s.step(t.Context(), built(), staged(t, tt.step)); got.code != 0 {
						t.Errorf("the step ended with %d:\n%s", got.code, got.log)
					}
				}
				if !tt.reading {
					go step()
					time.Sleep(tt.after)
				}
				if tt.next {
					job = s.begin()
				}
				taken := s.wish(job, 0, plainDockerfile)
				defer taken.Close()
				wish := s.handler.wishOf(taken)
				wish.staged = func() (*os.File, error) {
					if tt.reading {
						go step()
						time.Sleep(3 * time.Second)
					}
					return taken.Context()
				}
				began := time.Now()
				image, err := wish.grant(t.Context())
				if got := wishOutcome(err, image); got != tt.want {
					t.Errorf("the wish ended with %s, %v, want %s", got, err, tt.want)
				}
				if took := time.Since(began); !tt.next && took > 3*time.Second {
					t.Errorf("the wish took %s", took)
				}
				time.Sleep(time.Minute)
				if left := s.left(); left != "" || s.builds != tt.builds {
					t.Errorf("%d builds, left %q, want %d", s.builds, left, tt.builds)
				}
			})
		})
	}
}

// TestTheSecondWish finds what the first one built.
func TestTheSecondWish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		counted := s.counting()
		job := s.begin()
		s.handler.Wish(t.Context(), s.wish(job, 0, plainDockerfile))
		s.handler.Wish(t.Context(), s.wish(job, 1, plainDockerfile))
		if got := counts(t, counted); got != "wishes built, wishes reused" || s.builds != 1 {
			t.Errorf("counted %s after %d builds", got, s.builds)
		}
	})
}

// TestWishesEnd with their job, however its end shows, and with the daemon; a build that a
// step has taken over goes on.
func TestWishesEnd(t *testing.T) {
	cleanup := func(s *stage) { s.call(hook.CleanupJob) }
	for name, tt := range map[string]struct {
		end      func(s *stage, stop func())
		followed bool
		want     string
	}{
		"cleanup_job": {func(s *stage, _ func()) { cleanup(s) }, false, "wishes cancelled, wishes cancelled"},
		"the next job": {func(s *stage, _ func()) {
			s.begin()
		}, false, "wishes cancelled, wishes cancelled"},
		"the daemon":      {func(_ *stage, stop func()) { stop() }, false, "wishes cancelled, wishes cancelled"},
		"beside its step": {func(s *stage, _ func()) { cleanup(s) }, true, "builds followed, wishes cancelled, wishes cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, nil)
				counted := s.counting()
				ctx, stop := context.WithCancel(t.Context())
				job := s.begin()
				go s.handler.Wish(ctx, s.wish(job, 0, plainDockerfile))
				time.Sleep(4 * time.Second) // the context has arrived
				answered := make(chan answer, 1)
				if tt.followed {
					go func() { answered <- s.step(t.Context(), built(), staged(t, plainDockerfile)) }()
					time.Sleep(time.Second)
				}
				tt.end(s, stop)
				synctest.Wait()
				s.handler.Wish(ctx, s.wish(job, 1, plainDockerfile+"RUN later\n")) // of the same job
				if tt.followed {
					if got := <-answered; got.code != 0 {
						t.Errorf("the step ended with %d:\n%s", got.code, got.log)
					}
				}
				time.Sleep(time.Minute)
				if got := counts(t, counted); got != tt.want {
					t.Errorf("counted %s, want %s", got, tt.want)
				}
				if left := s.left(); left != "" {
					t.Errorf("left %s", left)
				}
				stop()
			})
		})
	}
}

// call hands a call of a job over.
func (s *stage) call(command string) {
	s.t.Helper()
	claim := claimOf(s.t, spool.Request{Call: command, Args: json.RawMessage(`{}`), Job: &spool.Job{}})
	s.must(s.state.Accept(claim.ID))
	if code := s.handler.Handle(s.t.Context(), claim); code != 0 {
		s.t.Errorf("%s ended with %d", command, code)
	}
	s.must(s.state.Forget(claim.ID))
}

// TestWishesMakeRoom: what a step needs goes first where the cluster has no room for
// both, and no other wish of the job begins.
func TestWishesMakeRoom(t *testing.T) {
	other := built()
	other.Dockerfile = "/home/runner/_work/_actions/acme/other/v1/Dockerfile"
	for name, tt := range map[string]struct {
		container hook.Container
		text      string
		role      string // of the pods for which there is no room beside a wish's
		pending   bool   // the action's pod is let in and finds no node
		limit     time.Duration
		code      int
	}{
		"a build":        {container: other, text: plainDockerfile + "RUN other\n", role: label.RoleBuild},
		"without a node": {container: ready(), pending: true},
		// The Job controller of the cluster in memory does not try again.
		"an action": {container: ready(), role: label.RoleAction, limit: 10 * time.Second, code: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, nil)
				counted := s.counting()
				var alive atomic.Int32
				run := s.cluster.Run
				s.cluster.Run = func(life *podtest.Life) {
					if life.Pod().Labels[label.Role] == label.RoleBuild {
						alive.Add(1)
						go func() { <-life.Gone(); alive.Add(-1) }()
					}
					run(life)
				}
				s.cluster.Admit = func(pod *corev1.Pod) error {
					if pod.Labels[label.Role] == tt.role && alive.Load() > 0 {
						return podtest.QuotaFull(pod.Name, 1)
					}
					return nil
				}
				if tt.pending {
					s.act = func(life *podtest.Life) {
						for alive.Load() > 0 {
							life.Event("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.")
							if !life.Wait(time.Second) {
								return
							}
						}
						ends(0)(life)
					}
				}
				s.takes.Store(int64(time.Hour))
				job := s.begin()
				go s.handler.Wish(t.Context(), s.wish(job, 0, plainDockerfile))
				time.Sleep(4 * time.Second)
				s.takes.Store(int64(5 * time.Second))
				ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(tt.limit, time.Hour))
				defer cancel()
				began := time.Now()
				got := s.step(ctx, tt.container, staged(t, tt.text))
				if took := time.Since(began); got.code != tt.code || took > 20*time.Second {
					t.Errorf("code %d after %s:\n%s", got.code, took, got.log)
				}
				s.handler.Wish(t.Context(), s.wish(job, 1, plainDockerfile))
				if got := counts(t, counted); !strings.HasSuffix(got, "wishes yielded, wishes yielded") {
					t.Errorf("counted %s", got)
				}
				time.Sleep(time.Minute)
				if left := s.left(); left != "" {
					t.Errorf("left %s", left)
				}
			})
		})
	}
}

// TestAWishDoesNotWaitForRoom: it is over at once.
func TestAWishDoesNotWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		counted := s.counting()
		s.cluster.Admit = func(pod *corev1.Pod) error { return podtest.QuotaFull(pod.Name, 1) }
		began := time.Now()
		s.handler.Wish(t.Context(), s.wish(s.begin(), 0, plainDockerfile))
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
		if got := counts(t, counted); got != "wishes yielded" {
			t.Errorf("counted %s", got)
		}
	})
}

// TestAWishOfTheRunner: its pod goes with the runner pod, and says of which job it is.
func TestAWishOfTheRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		var pod *corev1.Pod
		run := s.cluster.Run
		s.cluster.Run = func(life *podtest.Life) {
			if life.Pod().Name != "runner-1" {
				pod = life.Pod()
			}
			run(life)
		}
		s.handler.Wish(t.Context(), s.wish(s.begin(), 0, plainDockerfile))
		if pod == nil || len(pod.OwnerReferences) != 1 || pod.OwnerReferences[0].UID != "runner-uid" || pod.Labels["kiln.build/job"] != "test" {
			t.Errorf("pod %+v", pod)
		}
	})
}
