package jobrun_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/jobrun"
	"kiln/internal/podtest"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// self is the runner pod of the tests.
func self() runnerpod.Self {
	return runnerpod.Self{Name: "runner-1", UID: "runner-uid", NodeName: podtest.Node, Claim: "work", WorkMount: "/home/runner/_work"}
}

// debian is a job whose only container is one of Debian.
func debian() hook.Job {
	return hook.Job{Container: &hook.JobContainer{Container: hook.Container{
		Image: "debian:12", WorkingDirectory: "/__w/app/app",
		EnvironmentVariables: hook.Environment{"HOME": "/github/home", "GREETING": "hello"},
		SystemMountVolumes: []hook.Mount{
			{SourceVolumePath: "/var/run/docker.sock", TargetVolumePath: "/var/run/docker.sock"},
			{SourceVolumePath: "/home/runner/_work", TargetVolumePath: "/__w"},
			{SourceVolumePath: "/home/runner/externals", TargetVolumePath: "/__e", ReadOnly: true},
			{SourceVolumePath: "/home/runner/_work/_temp", TargetVolumePath: "/__w/_temp"},
			{SourceVolumePath: "/home/runner/_work/_temp/_github_home", TargetVolumePath: "/github/home"},
		},
	}}}
}

// shim is what the shim knows of a job.
func shim() *spool.Job { return &spool.Job{Dir: strings.Repeat("0a", 16)} }

// stage is one runner beside a cluster.
type stage struct {
	t       *testing.T
	cluster *podtest.Cluster
	client  podtest.Client
	state   *spool.State
	log     strings.Builder
	options jobrun.Options
	runner  *jobrun.Runner
}

// newStage makes the cluster; life is what happens in the job's pod.
func newStage(t *testing.T, life func(*podtest.Life), faults podtest.Faults) *stage {
	t.Helper()
	s := &stage{t: t, cluster: podtest.New(t, "ci")}
	s.cluster.Run = life
	s.client = s.cluster.Client(t, faults)
	var err error
	if s.state, err = spool.OpenState(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	s.options = jobrun.Options{Pods: s.client, State: s.state, Namespace: "ci", PendingTimeout: 2 * time.Minute}
	s.again()
	return s
}

// again is a daemon that starts anew.
func (s *stage) again() {
	s.t.Helper()
	var err error
	if s.runner, err = jobrun.New(s.options); err != nil {
		s.t.Fatal(err)
	}
}

// call is a call with that id.
func (s *stage) call(id string) jobrun.Call {
	return jobrun.Call{ID: id, Runner: self(), Log: steplog.New(&s.log, "", true), Times: steplog.NewTimes(nil), Logger: zap.NewNop()}
}

// prepare prepares a job and returns what the runner reads.
func (s *stage) prepare(ctx context.Context, asked hook.Job) (job.Response, error) {
	s.t.Helper()
	text, err := s.runner.Prepare(ctx, s.call("request-1"), asked, shim())
	if err != nil {
		return job.Response{}, err
	}
	var response job.Response
	if err := json.Unmarshal(text, &response); err != nil {
		s.t.Fatal(err)
	}
	return response, nil
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

// runs is a job container that takes a second to start and runs until it is deleted.
func runs(life *podtest.Life) {
	if !life.Wait(time.Second) {
		return
	}
	life.Start(job.ContainerName)
	<-life.Deleted()
	life.Exit(job.ContainerName, 0)
}

// TestNoExec: the agent of a job whose work volume nothing can be started from comes from
// kiln's image. An init container that fails ends the job's start at once.
func TestNoExec(t *testing.T) {
	for name, tt := range map[string]struct {
		code int32
		says string
	}{"installed": {0, ""}, "failed": {1, "could not be installed (exit code 1, Error): no room"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, func(life *podtest.Life) {
					installs(life, tt.code)
					if tt.code == 0 {
						runs(life)
					}
				}, nil)
				begin, call, noexec := time.Now(), s.call("request-1"), shim()
				noexec.NoExec = true
				call.Runner.Image = "registry.example.com/kiln:1"
				_, err := s.runner.Prepare(t.Context(), call, debian(), noexec)
				if tt.says == "" {
					pods := s.cluster.Pods()
					if err != nil || len(pods) != 1 || len(pods[0].Spec.InitContainers) != 1 || pods[0].Spec.InitContainers[0].Image != call.Runner.Image {
						t.Errorf("%v, %+v", err, pods)
					}
					return
				}
				if failure.Of(err) != failure.NotStarted || !strings.Contains(err.Error(), tt.says) || time.Since(begin) > time.Minute {
					t.Errorf("after %s: %v", time.Since(begin), err)
				}
			})
		})
	}
}

// installs is the init container of a pod, which ends with a code.
func installs(life *podtest.Life, code int32) {
	life.Change(func(pod *corev1.Pod) {
		end := &corev1.ContainerStateTerminated{ExitCode: code}
		if code != 0 {
			end.Reason, end.Message = "Error", "no room"
			pod.Status.Phase = corev1.PodFailed
		}
		pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: job.InstallName, State: corev1.ContainerState{Terminated: end}}}
	})
}

// TestJob takes a job from prepare_job to cleanup_job.
func TestJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, runs, nil)
		got, err := s.prepare(t.Context(), debian())
		if err != nil {
			t.Fatal(err)
		}
		pods := s.cluster.Pods()
		if len(pods) != 1 || s.left() != "pods secrets" {
			t.Fatalf("the cluster has %v", s.cluster.Names())
		}
		name := pods[0].Name
		want := job.Response{
			State: job.State{JobPod: name, Kiln: &job.Door{Dir: shim().Dir, Address: podtest.IP + ":8177", Secret: got.State.Kiln.Secret}},
			Context: job.Context{
				Container: &job.Container{ID: name + "/job", Network: name}, Services: []job.Service{},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got.State.Kiln.Secret) != 64 {
			t.Errorf("response (-want +got):\n%s", diff)
		}
		if owner := pods[0].OwnerReferences; len(owner) != 1 || owner[0].UID != "runner-uid" {
			t.Errorf("owners = %v", owner)
		}
		if log := s.log.String(); !strings.Contains(log, "::group::Starting job container\n") || !strings.Contains(log, "::endgroup::\n") {
			t.Errorf("log = %q", log)
		}
		s.again() // the job outlives a restart
		if err := s.runner.Discard(t.Context(), "request-1", self()); err != nil {
			t.Error(err)
		}
		if s.left() != "pods secrets" {
			t.Errorf("after a restart the cluster has %v", s.cluster.Names())
		}
		s.runner.Cleanup(t.Context(), s.call("request-2"))
		synctest.Wait()
		time.Sleep(3 * time.Second)
		if s.left() != "" || strings.Contains(s.log.String(), "::warning::") {
			t.Errorf("left %q, log %q", s.left(), s.log.String())
		}
		if _, noted, err := s.state.NotedJob(); noted || err != nil {
			t.Errorf("noted %v, %v", noted, err)
		}
	})
}

// TestOutcomes has a job container start in every way but well: what the call ends
// with, and that nothing stays.
func TestOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		life   func(*podtest.Life)
		change func(*stage)
		reason failure.Reason
		says   string
	}{
		"without its image": {
			life: func(l *podtest.Life) {
				l.Waits("job", "ErrImagePull", "manifest unknown")
				<-l.Deleted()
			}, reason: failure.ActionImagePull, says: "manifest unknown",
		},
		"has no variant for the node": {
			life: func(l *podtest.Life) {
				l.Waits("job", "ErrImagePull", "failed to resolve image: no match for platform in manifest: not found")
				<-l.Deleted()
			}, reason: failure.ActionImagePull, says: "no match for platform in manifest",
		},
		"never starts": {
			life:   func(l *podtest.Life) { l.Event("FailedScheduling", "0/1 nodes"); <-l.Deleted() },
			reason: failure.Unschedulable, says: "the job's pod did not start within 2m0s (KILN_PENDING_TIMEOUT): no node can take the pod: 0/1 nodes",
		},
		"cannot be executed": {
			life: func(l *podtest.Life) {
				l.End("job", podtest.End{Code: 128, Reason: "StartError", Message: "exec: \"/__kiln-agent\": permission denied"})
			}, reason: failure.ActionFailed, says: "the job container could not be started (exit code 126, StartError)",
		},
		"refused by the node": {
			life: func(l *podtest.Life) {
				l.Change(func(pod *corev1.Pod) { pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "OutOfcpu" })
			}, reason: failure.Evicted, says: "the job's pod was ended by the cluster: OutOfcpu",
		},
		"its pod vanishes": {
			life: func(l *podtest.Life) { l.Wait(time.Second); l.Remove() }, reason: failure.NodeLost, says: "was deleted while it ran",
		},
		"refused by a quota": {
			life: runs, change: func(s *stage) {
				s.cluster.Admit = func(pod *corev1.Pod) error { return podtest.QuotaFull(pod.Name, 2) }
			}, reason: failure.AdmissionRefused, says: "create the job's pod",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, tt.life, nil)
				if tt.change != nil {
					tt.change(s)
				}
				_, err := s.prepare(t.Context(), debian())
				if failure.Of(err) != tt.reason || err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %v (%q), want %q and %q", err, failure.Of(err), tt.reason, tt.says)
				}
				synctest.Wait()
				if s.left() != "" {
					t.Errorf("left %q", s.left())
				}
				s.runner.Cleanup(t.Context(), s.call("request-2"))
				if strings.Contains(s.log.String(), "::warning::") {
					t.Errorf("log = %q", s.log.String())
				}
			})
		})
	}
}

// TestRefusedImage: an image that the registry refuses to the node ends the call at the
// third pull with the registry's words, also where the daemon may not list events: the
// kubelet has them in the container's status. What may still come, a pull secret that
// does not exist, is told by an event alone.
func TestRefusedImage(t *testing.T) {
	const words = "pulling from host registry.example.com failed with status code [manifests 1]: 401 Unauthorized"
	life := func(l *podtest.Life) {
		l.Event("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (late)")
		l.Waits("job", "ErrImagePull", words)
		l.Wait(10 * time.Second)
		l.Waits("job", "ImagePullBackOff", "Back-off pulling image: ErrImagePull: "+words)
		<-l.Deleted()
	}
	for name, tt := range map[string]struct {
		faults podtest.Faults
		after  time.Duration
		says   string
	}{
		"events are listed": {nil, 2 * time.Minute, "the job's pod did not start within 2m0s"},
		"without the right": {podtest.Always("list events", podtest.Forbidden("list", "events")), 42 * time.Second, "cannot start: the node cannot pull image debian:12"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, began := newStage(t, life, tt.faults), time.Now()
				_, err := s.prepare(t.Context(), debian())
				if failure.Of(err) != failure.ActionImagePull || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), words) {
					t.Errorf("error %v (%q), want %q", err, failure.Of(err), tt.says)
				}
				if took := time.Since(began); took.Round(3*time.Second) != tt.after {
					t.Errorf("it took %s, want %s", took, tt.after)
				}
			})
		})
	}
}
