package actionrun_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/action"
	"kiln/internal/actionrun"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/podtest"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// job is the container that an action runs in.
const job = action.ContainerName

// notes are a state in memory.
type notes struct {
	mu    sync.Mutex
	made  map[string][]spool.Made
	fails error
}

// Note implements [actionrun.State].
func (n *notes) Note(id string, made []spool.Made) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fails != nil {
		return n.fails
	}
	if n.made == nil {
		n.made = map[string][]spool.Made{}
	}
	n.made[id] = slices.Clone(made)
	return nil
}

// Noted implements [actionrun.State].
func (n *notes) Noted(id string) ([]spool.Made, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.made[id], n.fails
}

// self is the runner pod of the tests.
func self() runnerpod.Self {
	return runnerpod.Self{Name: "runner-1", UID: "runner-uid", NodeName: podtest.Node, Claim: "work", WorkMount: "/home/runner/_work"}
}

// stage is one action beside a cluster.
type stage struct {
	t       *testing.T
	cluster *podtest.Cluster
	client  podtest.Client
	state   *notes
	log     strings.Builder
	options actionrun.Options
	step    actionrun.Step
}

// newStage makes the cluster; life is what happens in the action's pod.
func newStage(t *testing.T, life func(*podtest.Life), faults podtest.Faults) *stage {
	t.Helper()
	s := &stage{t: t, cluster: podtest.New(t, "ci"), state: &notes{}}
	s.cluster.Run = life
	s.client = s.cluster.Client(t, faults)
	s.options = actionrun.Options{
		Pods: s.client, State: s.state, Namespace: "ci",
		PendingTimeout: 2 * time.Minute, StepTimeout: 10 * time.Minute, Logger: zap.NewNop(),
	}
	s.step = actionrun.Step{
		ID: "request-1", Name: "acme/lint", Runner: self(), Logger: zap.NewNop(), Times: steplog.NewTimes(nil),
		Log: steplog.New(&s.log, "", true),
		Container: hook.Container{
			EntryPoint: "/run", EnvironmentVariables: hook.Environment{"GREETING": "hello"},
			SystemMountVolumes: []hook.Mount{{SourceVolumePath: "/home/runner/_work/app/app", TargetVolumePath: "/github/workspace"}},
		},
	}
	return s
}

// run runs the action of an image, for a day at most: what bounds an action and does not
// work shows as that.
func (s *stage) run(ctx context.Context, image actionrun.Image) (int, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, 24*time.Hour, errors.New("nothing has ended the action for a day"))
	defer cancel()
	runner, err := actionrun.New(s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	return runner.Action(s.step).Run(ctx, image)
}

// output is what the author reads but for kiln's own words.
func (s *stage) output() string {
	var lines []string
	for line := range strings.Lines(s.log.String()) {
		if !strings.HasPrefix(line, "kiln: ") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return strings.Join(lines, "|")
}

// left is what the cluster holds, by kind.
func (s *stage) left() string {
	var kinds []string
	for _, name := range s.cluster.Names() {
		kind, _, _ := strings.Cut(name, "/")
		kinds = append(kinds, kind)
	}
	return strings.Join(kinds, " ")
}

// prints is an action that takes six seconds and ends with that code.
func prints(code int32) func(*podtest.Life) {
	return func(life *podtest.Life) {
		if !life.Wait(time.Second) {
			return
		}
		life.Start(job)
		life.Print(job, "one")
		if !life.Wait(5 * time.Second) {
			life.Exit(job, 143)
			return
		}
		life.Print(job, "two")
		life.Exit(job, code)
	}
}

// ends is an action that ends as how says.
func ends(how podtest.End) func(*podtest.Life) {
	return func(life *podtest.Life) {
		life.Start(job)
		life.End(job, how)
	}
}

// TestOutcomes has an action end in every way: what the step ends with, what its
// author reads, and that nothing stays.
func TestOutcomes(t *testing.T) {
	fails := func(pod *corev1.Pod, reason, message string) {
		pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, reason, message
	}
	for name, tt := range map[string]struct {
		life   func(*podtest.Life)
		change func(*stage)
		image  actionrun.Image
		code   int
		reason failure.Reason // "" for none
		says   string         // of the error, or in the log where there is none
		left   string         // in the cluster
	}{
		"well":        {life: prints(0), says: "one"},
		"with a code": {life: prints(3), code: 3, reason: failure.ActionFailed, says: "ended with exit code 3"},
		"of memory":   {life: ends(podtest.End{Code: 137, Reason: "OOMKilled"}), code: 137, reason: failure.ActionFailed, says: "used more memory"},
		"by SIGKILL":  {life: ends(podtest.End{Code: 137}), code: 137, reason: failure.ActionFailed, says: "ended by SIGKILL"},
		"by SIGTERM":  {life: ends(podtest.End{Code: 143}), code: 143, reason: failure.ActionFailed, says: "ended by SIGTERM"},
		"without an entrypoint": {
			life: ends(podtest.End{Code: 128, Reason: "StartError", Message: "exec: \"/run\": stat /run: no such file or directory"}),
			code: 127, reason: failure.ActionFailed, says: "its entrypoint is not in the image",
		},
		"without the right to start": {
			life: ends(podtest.End{Code: 128, Reason: "StartError", Message: "permission denied"}),
			code: 126, reason: failure.ActionFailed, says: "may not be executed",
		},
		"without a start": {
			life: ends(podtest.End{Code: 128, Reason: "StartError", Message: "no such device"}),
			code: 128, reason: failure.ActionFailed, says: "could not be started (exit code 128): no such device",
		},
		"without its image": {
			life: func(l *podtest.Life) {
				l.Waits(job, "ErrImagePull", "manifest unknown")
				<-l.Deleted()
			}, code: 1, reason: failure.ActionImagePull, says: "manifest unknown",
		},
		"without its image, reused": {
			life: func(l *podtest.Life) {
				l.Waits(job, "ErrImagePull", "manifest unknown")
				<-l.Deleted()
			}, image: actionrun.Image{Pushed: "registry.example.com/app@sha256:0", Reused: true}, code: 1, reason: failure.Internal, says: actionrun.ErrImageMissing.Error(),
		},
		"never starts": {
			life: func(l *podtest.Life) { l.Event("FailedScheduling", "0/1 nodes"); <-l.Deleted() },
			code: 1, reason: failure.Unschedulable, says: "did not start within 2m0s (KILN_PENDING_TIMEOUT): no node can take the pod: 0/1 nodes",
		},
		"never ends": {
			life: func(l *podtest.Life) { l.Start(job); <-l.Deleted(); l.Exit(job, 143) },
			code: 1, reason: failure.Deadline, says: "ran longer than 10m0s (KILN_STEP_TIMEOUT)",
		},
		"runs as long as it likes": {
			life:   func(l *podtest.Life) { l.Start(job); l.Print(job, "one"); l.Wait(time.Hour); l.Exit(job, 0) },
			change: func(s *stage) { s.options.StepTimeout = 0 }, says: "run 3600.00s",
		},
		"evicted": {
			life: func(l *podtest.Life) {
				l.Start(job)
				l.Change(func(pod *corev1.Pod) { fails(pod, "Evicted", "The node was low on resource: memory.") })
				l.Exit(job, 137)
				l.Change(func(pod *corev1.Pod) { fails(pod, "Evicted", "The node was low on resource: memory.") })
			}, code: 1, reason: failure.Evicted, says: "ended by the cluster: Evicted: The node was low on resource: memory.",
		},
		"refused by the node": {
			life: func(l *podtest.Life) {
				l.Change(func(pod *corev1.Pod) { fails(pod, "OutOfcpu", "Node didn't have enough resource: cpu") })
			}, code: 1, reason: failure.Evicted, says: "OutOfcpu",
		},
		"failed without a container": {
			life: func(l *podtest.Life) { l.Change(func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed }) },
			code: 1, reason: failure.Internal, says: "ended without running the action",
		},
		"its pod vanishes": {
			life: func(l *podtest.Life) { l.Start(job); l.Wait(time.Second); l.Remove() },
			code: 1, reason: failure.NodeLost, says: "was deleted while it ran",
		},
		"its pod is deleted": {
			life: func(l *podtest.Life) {
				l.Start(job)
				l.Wait(time.Second)
				l.Delete(30)
				time.Sleep(time.Second)
				l.Exit(job, 143)
				time.Sleep(time.Second)
			},
			code: 1, reason: failure.NodeLost, says: "was deleted while it ran",
		},
		"its node is lost": {
			life: func(l *podtest.Life) {
				l.Start(job)
				l.Change(func(pod *corev1.Pod) {
					pod.DeletionTimestamp = new(metav1.NewTime(time.Now()))
					pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint"}}
				})
				l.Wait(time.Second)
				l.Change(func(pod *corev1.Pod) { pod.Status.Message = "still there" })
				<-l.Gone()
			}, code: 1, reason: failure.NodeLost, says: "DeletionByTaintManager", left: "pods",
		},
		"refused by Pod Security": {
			life: prints(0), change: func(s *stage) {
				s.cluster.Admit = func(_ *corev1.Pod) error { return errors.New(`violates PodSecurity "restricted:latest"`) }
			}, code: 1, reason: failure.AdmissionRefused, says: "violates PodSecurity",
		},
		"never admitted": {
			life: prints(0), change: func(s *stage) {
				s.cluster.Admit = func(pod *corev1.Pod) error { return podtest.QuotaFull(pod.Name, 2) }
			}, code: 1, reason: failure.AdmissionRefused, says: "exceeded quota",
		},
		"without a state": {
			life: prints(0), change: func(s *stage) { s.state.fails = errors.New("disk full") },
			code: 1, reason: failure.Internal, says: "disk full",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, tt.life, nil)
				if tt.change != nil {
					tt.change(s)
				}
				tt.image.Reference = "busybox"
				code, err := s.run(t.Context(), tt.image)
				said := s.log.String()
				if err != nil {
					said = err.Error()
				}
				if code != tt.code || failure.Of(err) != tt.reason || !strings.Contains(said, tt.says) {
					t.Errorf("code %d, error %v (%q), log %q; want %d, %q and %q", code, err, failure.Of(err), s.log.String(), tt.code, tt.reason, tt.says)
				}
				synctest.Wait()
				if left := s.left(); left != tt.left {
					t.Errorf("left %q, want %q", left, tt.left)
				}
			})
		})
	}
}

// ended is how a step ended, and what was left.
type ended struct {
	Code   int
	Reason failure.Reason
	Output string
	Left   string
}

// afterFault is how a step ends whose requests fail: those with that Op, the first or
// all of them.
func afterFault(op, fault string, always bool) ended {
	well := ended{Output: "one|two"}
	refused := fault == "forbidden"
	done := strings.HasPrefix(fault, "done")
	verb, resource, _ := strings.Cut(op, " ")
	switch {
	case verb == "delete": // the step has ended well; owner references collect the rest
		if resource != "pods" && (refused || always && !done) {
			well.Left = resource
		}
		return well
	case op == "get pods/log" && !always: // it is asked for before the pod is looked at
		return well
	case refused:
		return ended{Code: 1, Reason: failure.AdmissionRefused}
	case verb == "create": // nobody knows whether it was done, so it is undone
		return ended{Code: 1, Reason: failure.ClusterUnreachable}
	case !always, op == "watch pods": // the list tells as much
		return well
	case op == "list pods":
		return ended{Code: 1, Reason: failure.Unschedulable}
	}
	return ended{Code: 1, Reason: failure.ClusterUnreachable} // the output is lost
}

// TestFaults has every request of a run fail in every way, once and for ever: what the
// step ends with, whether its output is whole, and what stays in the cluster.
func TestFaults(t *testing.T) {
	for _, op := range []string{"create secrets", "create jobs", "list pods", "watch pods", "get pods/log", "delete jobs", "delete pods", "delete secrets"} {
		for fault, of := range podtest.Kinds() {
			for when, faults := range map[string]podtest.Faults{"once": podtest.Once(op, of), "always": podtest.Always(op, of)} {
				t.Run(fmt.Sprintf("%s/%s/%s", op, fault, when), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newStage(t, prints(0), faults)
						code, err := s.run(t.Context(), actionrun.Image{Reference: "busybox"})
						got := ended{Code: code, Reason: failure.Of(err), Output: s.output(), Left: s.left()}
						if strings.HasPrefix(got.Output, "::warning::kiln: the action's output cannot be read any further") {
							got.Output = ""
						}
						if diff := cmp.Diff(afterFault(op, fault, when == "always"), got); diff != "" {
							t.Errorf("error %v (-want +got):\n%s", err, diff)
						}
					})
				})
			}
		}
	}
}

// TestCancel cancels a step in each of its phases, by each cause: it ends at once, with
// the cause, and nothing of it stays.
func TestCancel(t *testing.T) {
	starts := func(life *podtest.Life) { life.Start(job); life.Print(job, "one") }
	for name, tt := range map[string]struct {
		at    string // the request during which it is cancelled, or "" for a while later
		life  func(*podtest.Life)
		fault podtest.Fault // of that request
		jobs  int           // how many were made
		says  string        // what the author has read by then
	}{
		"while the Secret is made":    {at: "create secrets", life: prints(0)},
		"while the Job is made":       {at: "create jobs", life: prints(0), jobs: 1},
		"while the Job does not come": {at: "create jobs", life: prints(0), jobs: 1, fault: podtest.Unanswered()},
		"before the pod is seen":      {at: "list pods", life: prints(0), jobs: 1},
		"while it waits":              {life: func(life *podtest.Life) { <-life.Deleted() }, jobs: 1},
		"while it runs":               {life: func(life *podtest.Life) { starts(life); <-life.Deleted(); life.Exit(job, 143) }, jobs: 1, says: "one"},
		"while it takes no notice":    {life: func(life *podtest.Life) { starts(life); <-life.Gone() }, jobs: 1, says: "one"},
		"while its output is read":    {at: "get pods/log", life: func(life *podtest.Life) { starts(life); life.Exit(job, 0) }, jobs: 1, fault: podtest.TimedOut()},
	} {
		for _, cause := range []error{
			failure.New(failure.Cancelled, "the step was cancelled"),
			failure.New(failure.Cancelled, "the runner's hook process has gone"),
			failure.New(failure.Cancelled, "kiln's daemon is being stopped"),
		} {
			t.Run(name+"/"+cause.Error(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(t.Context())
					var at time.Time
					end := func() { at = time.Now(); cancel(cause) }
					s := newStage(t, tt.life, func(call podtest.Call) podtest.Fault {
						if call.Op != tt.at || call.Count > 1 {
							return podtest.Fault{}
						}
						end()
						return tt.fault
					})
					if tt.at == "" {
						time.AfterFunc(time.Minute, end)
					}
					code, err := s.run(ctx, actionrun.Image{Reference: "busybox"})
					took := time.Since(at)
					if code != 1 || !errors.Is(err, cause) && !errors.Is(err, context.Canceled) && !errors.Is(err, podtest.ErrBroken) {
						t.Errorf("code %d, error %v; want 1 and %v", code, err, cause)
					}
					if took > 5*time.Second {
						t.Errorf("ended %v after it was cancelled", took)
					}
					if got := s.output(); got != tt.says {
						t.Errorf("output %q, want %q", got, tt.says)
					}
					time.Sleep(4 * time.Second) // the grace of the action
					if left := s.left(); left != "" || s.client.Calls("create jobs") != tt.jobs {
						t.Errorf("left %q, %d Jobs were made; want none of %d", left, s.client.Calls("create jobs"), tt.jobs)
					}
				})
			})
		}
	}
}

// TestCancelledActionsHaveAGrace tells an action that runs, by SIGTERM, and one that has
// not begun, at once. Where the garbage collector alone deletes its pod, or comes first,
// the grace is the same: a kubelet that has begun to wait is not hurried.
func TestCancelledActionsHaveAGrace(t *testing.T) {
	for name, tt := range map[string]struct {
		start  bool
		faults podtest.Faults
		want   time.Duration
	}{
		"runs": {true, nil, 3 * time.Second}, "waits": {false, nil, 0},
		"runs, collected": {true, podtest.Always("delete pods", podtest.Forbidden("delete", "pods")), 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var cancelled time.Time
				time.AfterFunc(time.Minute, func() { cancelled = time.Now(); cancel() })
				lasted := make(chan time.Duration, 1)
				s := newStage(t, func(life *podtest.Life) {
					life.Schedule()
					if tt.start {
						life.Start(job)
					}
					<-life.Gone()
					lasted <- time.Since(cancelled)
				}, tt.faults)
				if _, err := s.run(ctx, actionrun.Image{Reference: "busybox"}); err == nil {
					t.Error("a cancelled step ended well")
				}
				if got := <-lasted; got != tt.want {
					t.Errorf("the pod was there for %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestOutput breaks the action's log in the middle: what can be read comes once and in
// order, and what is lost is said.
func TestOutput(t *testing.T) {
	const missing = "::warning::kiln: lines of the action's output may be missing here: the node rotated its log before it was read"
	for name, tt := range map[string]struct {
		between func(*podtest.Life)
		want    string
	}{
		"read":    {func(*podtest.Life) {}, "one|between|two"},
		"cut":     {func(life *podtest.Life) { life.CutLog(job) }, "one|between|two"},
		"rotated": {func(life *podtest.Life) { life.Wait(time.Second); life.Lose(job, "lost") }, "one|between|" + missing + "|two"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, func(life *podtest.Life) {
					life.Start(job)
					life.Print(job, "one")
					life.Wait(10 * time.Second)
					life.CutLog(job)
					life.Wait(time.Millisecond)
					life.Print(job, "between")
					tt.between(life)
					life.Wait(10 * time.Second)
					life.Print(job, "two")
					life.Exit(job, 0)
				}, nil)
				if code, err := s.run(t.Context(), actionrun.Image{Reference: "busybox"}); code != 0 || err != nil {
					t.Errorf("code %d, error %v", code, err)
				}
				if got := s.output(); got != tt.want {
					t.Errorf("output %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestNobodyTakesTheOutput ends a step whose log is written to nobody.
func TestNobodyTakesTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, prints(0), nil)
		gone := errors.New("the shim has gone")
		s.step.Log = steplog.New(failing{gone}, "", false)
		if code, err := s.run(t.Context(), actionrun.Image{Reference: "busybox"}); code != 1 || !errors.Is(err, gone) {
			t.Errorf("code %d, error %v", code, err)
		}
		time.Sleep(4 * time.Second) // the grace of the action
		if left := s.left(); left != "" {
			t.Errorf("left %s", left)
		}
	})
}

// failing is a writer that fails.
type failing struct{ err error }

// Write implements [io.Writer].
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// abandoned leaves what a daemon leaves that is killed while an action runs.
func abandoned(t *testing.T) *stage {
	t.Helper()
	s := newStage(t, func(life *podtest.Life) { life.Start(job); <-life.Gone() }, func(call podtest.Call) podtest.Fault {
		if strings.HasPrefix(call.Op, "delete") {
			return podtest.Lost()
		}
		return podtest.Fault{}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.run(ctx, actionrun.Image{Reference: "busybox"}); err == nil {
		t.Error("the action ended well")
	}
	if left := s.left(); left != "jobs pods secrets" {
		t.Fatalf("left %q", left)
	}
	return s
}

// TestDiscard deletes after a restart what was made before, whatever a request of it
// meets once, and says where something may be left.
func TestDiscard(t *testing.T) {
	for _, op := range []string{"get jobs", "list pods", "delete jobs", "delete pods", "delete secrets"} {
		for fault, of := range podtest.Kinds() {
			for when, faults := range map[string]podtest.Faults{"once": podtest.Once(op, of), "always": podtest.Always(op, of)} {
				t.Run(fmt.Sprintf("%s/%s/%s", op, fault, when), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := abandoned(t)
						s.options.Pods = s.cluster.Client(t, faults)
						runner, err := actionrun.New(s.options)
						if err != nil {
							t.Fatal(err)
						}
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						defer cancel()
						err = runner.Discard(ctx, s.step.ID, types.UID(s.step.Runner.UID))
						time.Sleep(time.Minute)
						left := s.left()
						if err == nil && left != "" {
							t.Errorf("left %q, and no error", left)
						}
						if when == "once" && fault != "forbidden" && err != nil {
							t.Errorf("error %v for what goes well the second time", err)
						}
						if strings.HasPrefix(op, "delete") && strings.HasPrefix(fault, "done") && strings.Contains(left, strings.TrimPrefix(op, "delete ")) {
							t.Errorf("left %q of what was deleted without an answer", left)
						}
					})
				})
			}
		}
	}
}

// TestDiscardLeavesOthers has the name, the request or the runner of another on a Job:
// it stays.
func TestDiscardLeavesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := abandoned(t)
		s.options.Pods = s.cluster.Client(t, nil)
		runner, err := actionrun.New(s.options)
		if err != nil {
			t.Fatal(err)
		}
		if err := runner.Discard(t.Context(), "request-2", types.UID(s.step.Runner.UID)); err != nil {
			t.Error(err)
		}
		if err := runner.Discard(t.Context(), s.step.ID, "another runner"); err != nil {
			t.Error(err)
		}
		if left := s.left(); left != "jobs pods" { // the Secret's UID was written down
			t.Errorf("left %q", left)
		}
		s.state.fails = errors.New("no such directory")
		if err := runner.Discard(t.Context(), s.step.ID, types.UID(s.step.Runner.UID)); err == nil {
			t.Error("a state that cannot be read is no error")
		}
	})
}

// TestNothingIsMadeUnseen: what cannot be written down is not made.
func TestNothingIsMadeUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, prints(0), nil)
		s.state.fails = errors.New("disk full")
		code, err := s.run(t.Context(), actionrun.Image{Reference: "busybox"})
		if made := s.client.Calls("create secrets") + s.client.Calls("create jobs"); code != 1 || err == nil || made > 0 {
			t.Errorf("code %d, error %v, %d objects were made", code, err, made)
		}
	})
}

// TestNew wants what a runner cannot do without.
func TestNew(t *testing.T) {
	_, err := actionrun.New(actionrun.Options{StepTimeout: -1})
	for _, want := range []string{"no cluster", "nothing to remember", "no log", "no namespace", "no time for an action", "a negative time"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}
