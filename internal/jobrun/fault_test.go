package jobrun_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/jobrun"
	"kiln/internal/label"
	"kiln/internal/podtest"
	"kiln/internal/spool"
)

// ended is how prepare_job and the cleanup_job after it ended.
type ended struct {
	Reason failure.Reason
	// Undone is what the cluster had after a failed prepare_job, Left after
	// cleanup_job, and Warned whether that said so.
	Undone, Left string
	Warned       bool
}

// afterFault is how a job ends whose requests fail: those with that Op, the first or
// all of them.
func afterFault(op, fault string, always bool) ended {
	refused := fault == "forbidden"
	done := strings.HasPrefix(fault, "done")
	verb, resource, _ := strings.Cut(op, " ")
	switch {
	case op == "delete secrets" && (refused || always && !done), op == "delete pods" && (refused || always && !done):
		left := ended{Left: resource, Warned: true}
		if op == "delete pods" && refused && !always {
			return ended{Warned: true} // the sweep tries it again
		}
		return left
	case verb == "delete":
		return ended{Warned: always}
	case refused && op == "list pods", refused && op == "watch pods":
		return ended{Reason: failure.AdmissionRefused, Warned: op == "list pods" && always}
	case refused:
		return ended{Reason: failure.AdmissionRefused}
	case verb == "create":
		return ended{Reason: failure.ClusterUnreachable}
	case always && op == "list pods":
		return ended{Reason: failure.Unschedulable, Warned: true}
	}
	return ended{}
}

// TestFaults has every request of a job fail in every way, once and for ever: what
// prepare_job ends with, and what stays after it and after cleanup_job.
func TestFaults(t *testing.T) {
	for _, op := range []string{"create secrets", "create pods", "list pods", "watch pods", "delete pods", "delete secrets"} {
		for name, fault := range podtest.Kinds() {
			for _, always := range []bool{false, true} {
				kind := map[bool]string{false: "once", true: "always"}[always]
				t.Run(op+"/"+name+"/"+kind, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						faults := podtest.Once(op, fault)
						if always {
							faults = podtest.Always(op, fault)
						}
						s := newStage(t, runs, faults)
						_, err := s.prepare(t.Context(), debian())
						got := ended{Reason: failure.Of(err)}
						if err != nil {
							synctest.Wait()
							got.Undone = s.left()
						}
						s.runner.Cleanup(t.Context(), s.call("request-2"))
						time.Sleep(5 * time.Second)
						got.Left, got.Warned = s.left(), strings.Contains(s.log.String(), "::warning::")
						if diff := cmp.Diff(afterFault(op, name, always), got); diff != "" {
							t.Errorf("ended (-want +got):\n%s\nerror %v", diff, err)
						}
					})
				})
			}
		}
	}
}

// TestCancel: a job that is cancelled while its image is pulled leaves nothing, at once.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(l *podtest.Life) { l.Schedule(); <-l.Gone() }, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("the step was cancelled")
		time.AfterFunc(5*time.Second, func() { cancel(cause) })
		_, err := s.prepare(ctx, debian())
		if !errors.Is(err, cause) || s.left() != "" {
			t.Errorf("error %v, left %q", err, s.left())
		}
		if _, err := s.prepare(ctx, debian()); !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: %v", err)
		}
	})
}

// TestOneJobAtATime: what an earlier job has left, of this daemon or of one before it,
// is gone when the next begins, and what others have stays.
func TestOneJobAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, runs, nil)
		first, err := s.prepare(t.Context(), debian())
		if err != nil {
			t.Fatal(err)
		}
		stranger := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "stranger", Labels: map[string]string{label.Role: label.RoleJob}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "job"}}},
		}
		forgotten := stranger.DeepCopy()
		forgotten.Name, forgotten.OwnerReferences = "forgotten", []metav1.OwnerReference{self().Owner()}
		for _, pod := range []*corev1.Pod{stranger, forgotten} {
			if err := s.cluster.Add(pod); err != nil {
				t.Fatal(err)
			}
		}
		s.again()
		second, err := s.prepare(t.Context(), debian())
		if err != nil || second.State.JobPod == first.State.JobPod {
			t.Fatalf("pods %q and %q, %v", first.State.JobPod, second.State.JobPod, err)
		}
		time.Sleep(3 * time.Second)
		if s.cluster.Pod(first.State.JobPod) != nil {
			t.Error("the first job's pod is there")
		}
		s.runner.Cleanup(t.Context(), s.call("request-3"))
		time.Sleep(3 * time.Second)
		if diff := cmp.Diff([]string{"pods/stranger"}, s.cluster.Names()); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
	})
}

// TestDiscard: of a job that was being prepared when the daemon ended nothing stays,
// also where the answers to its requests never came.
func TestDiscard(t *testing.T) {
	for name, uids := range map[string]bool{"with the answers": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, runs, nil)
				response, err := s.prepare(t.Context(), debian())
				if err != nil {
					t.Fatal(err)
				}
				record, noted, err := s.state.NotedJob()
				if err != nil || !noted || !record.Ready || record.JobPod != response.State.JobPod {
					t.Fatalf("record %+v, %v, %v", record, noted, err)
				}
				record.Ready = false
				if !uids {
					record.Pods[0].UID, record.Secrets[0].UID = "", ""
				}
				if err := s.state.NoteJob(record); err != nil {
					t.Fatal(err)
				}
				s.again()
				if err := s.runner.Discard(t.Context(), "another", self()); err != nil || s.left() != "pods secrets" {
					t.Errorf("another request's: %v, %q", err, s.left())
				}
				if err := s.runner.Discard(t.Context(), "request-1", self()); err != nil {
					t.Error(err)
				}
				time.Sleep(3 * time.Second)
				if s.left() != "" {
					t.Errorf("left %q", s.left())
				}
			})
		})
	}
}

// TestExplain has a job container end in every way.
func TestExplain(t *testing.T) {
	fails := func(l *podtest.Life, reason string) {
		l.Change(func(pod *corev1.Pod) {
			pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, reason, "The node was low on resource: memory."
		})
	}
	for name, tt := range map[string]struct {
		end    func(*podtest.Life)
		code   int
		reason failure.Reason
		says   string
	}{
		"of memory":  {func(l *podtest.Life) { l.End("job", podtest.End{Code: 137, Reason: "OOMKilled"}) }, 137, failure.OutOfMemory, "more memory than its limit of 512Mi"},
		"by SIGKILL": {func(l *podtest.Life) { l.Exit("job", 137) }, 137, failure.ActionFailed, "ended by SIGKILL"},
		"by itself":  {func(l *podtest.Life) { l.Exit("job", 0) }, 1, failure.ActionFailed, "the job container has ended (exit code 0, Completed)"},
		"evicted":    {func(l *podtest.Life) { fails(l, "Evicted") }, 137, failure.Evicted, "Evicted: The node was low on resource"},
		"deleted":    {func(l *podtest.Life) { l.Delete(30) }, 137, failure.NodeLost, "was deleted while the job ran"},
		"gone":       {func(l *podtest.Life) { l.Remove() }, 137, failure.NodeLost, "was deleted while the job ran"},
		"not at all": {func(*podtest.Life) {}, 1, failure.Internal, "but the container runs"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, func(l *podtest.Life) {
					l.Start("job")
					l.Wait(25 * time.Second)
					tt.end(l)
					<-l.Gone()
				}, nil)
				asked := debian()
				asked.Container.Container.CreateOptions = "--memory 512m"
				if _, err := s.prepare(t.Context(), asked); err != nil {
					t.Fatal(err)
				}
				time.Sleep(9 * time.Second) // the step sees it before the cluster does
				for range 2 {               // and a later step sees the same
					code, err := s.runner.Explain(t.Context())
					if code != tt.code || failure.Of(err) != tt.reason || !strings.Contains(err.Error(), tt.says) {
						t.Errorf("code %d, error %v (%q), want %d, %q and %q", code, err, failure.Of(err), tt.code, tt.reason, tt.says)
					}
				}
			})
		})
	}
}

// TestExplainUnseen: where the API server does not answer nobody knows that the container
// runs.
func TestExplainUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var silent atomic.Bool
		s := newStage(t, func(l *podtest.Life) { l.Start("job"); <-l.Gone() }, func(podtest.Call) podtest.Fault { return podtest.Fault{Silent: silent.Load()} })
		if _, err := s.prepare(t.Context(), debian()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // nobody watches the pod any more
		silent.Store(true)
		code, err := s.runner.Explain(t.Context())
		if code != 1 || err == nil || !strings.Contains(err.Error(), "ask what became of the job container") {
			t.Errorf("code %d, %v", code, err)
		}
	})
}

// TestExplainNothing: without a job there is nothing to explain.
func TestExplainNothing(t *testing.T) {
	s := newStage(t, nil, nil)
	if code, err := s.runner.Explain(t.Context()); code != 1 || failure.Of(err) != failure.NodeLost {
		t.Errorf("code %d, error %v", code, err)
	}
	if err := s.state.NoteJob(spool.JobRecord{JobPod: "another", Pods: []spool.Kept{{Name: "another", UID: "1"}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.cluster.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "another"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "job"}}}}); err != nil {
		t.Fatal(err)
	}
	if code, err := s.runner.Explain(t.Context()); code != 137 || failure.Of(err) != failure.NodeLost {
		t.Errorf("code %d, error %v", code, err)
	}
}

// TestRefused: what a job cannot have ends it before anything is made.
func TestRefused(t *testing.T) {
	login := debian()
	login.Container.Registry = &hook.Registry{Username: "mona", Password: "x"}
	option := debian()
	option.Container.Container.CreateOptions = "--privileged"
	unknown := debian()
	unknown.Container.Container.CreateOptions = "--link db"
	services := debian()
	services.Services = []hook.JobContainer{{Container: hook.Container{Image: "redis"}}}
	for name, tt := range map[string]struct {
		asked hook.Job
		shim  *spool.Job
		says  string
	}{
		"without the shim's word": {debian(), nil, "does not say where the job's own directory is"},
		"another directory":       {debian(), &spool.Job{Dir: "../" + strings.Repeat("0", 29)}, "a name that kiln-hook does not give"},
		"in capitals":             {debian(), &spool.Job{Dir: strings.Repeat("AB", 16)}, "a name that kiln-hook does not give"},
		"rights":                  {option, shim(), "options: --privileged: not allowed here; ask who runs these runners (KILN_JOB_RIGHTS)"},
		"no counterpart":          {unknown, shim(), "options: --link"},
		"services":                {services, shim(), "nothing runs the services of jobs here"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, runs, nil)
			_, err := s.runner.Prepare(t.Context(), s.call("request-1"), tt.asked, tt.shim)
			if err == nil || !strings.Contains(err.Error(), tt.says) || s.left() != "" || s.client.Calls("create secrets") > 0 {
				t.Errorf("error = %v, left %q", err, s.left())
			}
		})
	}
}

// staged are services that a test plays.
type staged struct {
	fails   error
	own     bool // a pod of their own
	began   jobrun.Beginning
	pod     string
	stopped int
}

// Start implements [jobrun.Services].
func (s *staged) Start(ctx context.Context, begin jobrun.Beginning) (jobrun.Started, error) {
	s.began = begin
	if !s.own {
		return s, nil
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: begin.Spec.Name + "-s", Labels: begin.Spec.Labels, OwnerReferences: begin.Spec.OwnerReferences},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "job"}}},
	}
	_, err := begin.Maker.Pod(ctx, pod)
	return s, err
}

// Stop implements [jobrun.Services].
func (s *staged) Stop(context.Context, jobrun.Call) { s.stopped++ }

// Beside implements [jobrun.Started].
func (s *staged) Beside() job.Services {
	return job.Services{Containers: []corev1.Container{{Name: "redis", Image: "redis"}}, Ports: []int32{8177}}
}

// Ready implements [jobrun.Started].
func (s *staged) Ready(_ context.Context, pod string) ([]job.Service, error) {
	s.pod = pod
	return []job.Service{{ID: "redis", Network: pod, Ports: map[string]string{}}}, s.fails
}

// TestServices: services begin before the job's pod, are awaited after it, and go with
// the job.
func TestServices(t *testing.T) {
	for name, tt := range map[string]struct {
		alone bool // without a job container
		fails error
	}{"beside": {}, "alone": {alone: true}, "unhealthy": {fails: errors.New("redis is unhealthy")}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, runs, nil)
				services := &staged{own: true, fails: tt.fails}
				s.options.Services = services
				s.again()
				asked := debian()
				asked.Services = []hook.JobContainer{{Container: hook.Container{Image: "redis"}, Registry: &hook.Registry{Username: "mona", Password: "x"}}}
				if tt.alone {
					asked.Container = nil
				}
				got, err := s.prepare(t.Context(), asked)
				if !errors.Is(err, tt.fails) {
					t.Fatal(err)
				}
				if len(services.began.Services) != 1 || services.began.Beside == tt.alone || services.began.Spec.ImagePullSecrets[0].Name != services.began.Spec.Name+"-pull" {
					t.Errorf("began with %+v", services.began)
				}
				if err == nil && (len(got.Context.Services) != 1 || services.pod != got.State.JobPod || (got.State.JobPod == "") != tt.alone) {
					t.Errorf("response = %+v", got)
				}
				if err == nil && !tt.alone && !strings.HasSuffix(got.State.Kiln.Address, ":8178") {
					t.Errorf("address = %s", got.State.Kiln.Address)
				}
				s.runner.Cleanup(t.Context(), s.call("request-2"))
				time.Sleep(3 * time.Second)
				if s.left() != "" || services.stopped == 0 {
					t.Errorf("left %q, stopped %d times", s.left(), services.stopped)
				}
			})
		})
	}
}
