//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// Limits of a cancelled step.
const (
	shimGone = 5 * time.Second
	podsOver = 10 * time.Second // by then its pods are told to be gone
	podsGone = time.Minute      // by then a busy node has said that they are
)

// phaseCase is a step, and what it is doing when it is cancelled.
type phaseCase struct {
	name  string
	after string // a text of the log
	path  string // or a file in the runner container
	step  func(marker string) (runner.Step, harness.Files)
	// builds says that the step has a build pod by then, runs that it has an
	// action's.
	builds, runs bool
}

// buildOf is a phaseCase's step of one Dockerfile.
func buildOf(dockerfile string) func(marker string) (runner.Step, harness.Files) {
	return func(marker string) (runner.Step, harness.Files) { return sample.Build(marker, dockerfile) }
}

// stubborn is a process that no signal but SIGKILL ends.
func stubborn(marker string) (runner.Step, harness.Files) {
	const script = `trap "" INT TERM; echo working; while :; do sleep 1; done`
	return runner.Step{Repository: "acme/app", Image: "busybox", EntryPoint: "sh", Args: []string{"-c", script, marker}}, nil
}

// TestCancelPhases cancels steps in every phase by every signal of a runner.
// What the step was doing ends with it, in time: nothing else runs beside this.
// And nothing of it is left.
func TestCancelPhases(t *testing.T) {
	f := suite.New(t, "phases", func(_ suite.Stage, o *harness.PodOptions) { o.Adjust = showState })
	silent := silentRegistry(t, f)
	t.Run("runners", func(t *testing.T) {
		t.Run("default", func(t *testing.T) {
			t.Parallel()
			cancelStaging(t, f)
			cancelEach(t, f, []phaseCase{
				{name: "build", after: "building slowly", builds: true, step: buildOf("FROM busybox\nRUN echo building slowly && sleep 600\n")},
				{name: "pull", after: "kiln: waiting", runs: true, step: func(marker string) (runner.Step, harness.Files) {
					return runner.Step{Repository: "acme/app", Image: silent + "/" + marker + ":v1"}, nil
				}},
				{name: "run", after: "working\n", runs: true, step: stubborn},
			})
		})
		t.Run("unschedulable", func(t *testing.T) {
			t.Parallel()
			g := f.Another(t, "unschedulable", func(o *harness.PodOptions) {
				f.GiveTemplates(t, o, "spec:\n  nodeSelector: {kiln-e2e/no-such: node}\n", "")
				o.Adjust = suite.Both(o.Adjust, showState)
			})
			cancelEach(t, g, []phaseCase{{name: "pending", after: "kiln: waiting", builds: true, step: buildOf("FROM busybox\n")}})
		})
		t.Run("silent registry", func(t *testing.T) {
			t.Parallel()
			g := f.Another(t, "silent", func(o *harness.PodOptions) {
				o.Adjust = showState
				o.DaemonEnv = map[string]string{
					"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH": silent + "/kiln",
					"KILN_INSECURE_REGISTRIES":                              f.Insecure + "," + silent,
				}
			})
			cancelEach(t, g, []phaseCase{{name: "push", after: " pushing ", builds: true, step: buildOf("FROM busybox\nENTRYPOINT [\"true\"]\n")}})
		})
	})
	left, err := f.Leftovers(t.Context(), f.Namespace, time.Minute)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the namespace: %v, %v", left, err)
	}
}

// cancelEach plays every case once for each signal, all at the same time.
func cancelEach(t *testing.T, f *suite.Fixture, cases []phaseCase) {
	t.Run("phases", func(t *testing.T) {
		for _, c := range cases {
			for _, s := range cancelSignals() {
				t.Run(c.name+" "+s.name, func(t *testing.T) {
					t.Parallel()
					cancelIn(t, f, c, s)
				})
			}
		}
	})
	wantNoTrace(t, f)
}

// cancelSignal is a way in which a runner ends its hook.
type cancelSignal struct {
	name    string
	signals []runner.TimedSignal
	code    int
}

func cancelSignals() []cancelSignal {
	return []cancelSignal{
		{"INT", runner.Cancel("").Signals, 130},
		{"TERM", []runner.TimedSignal{{Name: "TERM", Wait: 10 * time.Second}, {Name: "KILL"}}, 143},
		{"KILL", []runner.TimedSignal{{Name: "KILL"}}, 137},
	}
}

// cancelIn cancels one step, and waits for the end of its pods.
func cancelIn(t *testing.T, f *suite.Fixture, c phaseCase, s cancelSignal) {
	marker := c.name + "-" + strings.ToLower(s.name)
	step, files := c.step(marker)
	step.Interrupt = &runner.Interrupt{After: c.after, Path: c.path, Signals: s.signals}
	result := f.Play(t, step, files)
	signalled := time.Now().Add(-result.Stopped)
	if result.ExitCode != s.code {
		t.Errorf("exit code = %d (%s), want %d:\n%s", result.ExitCode, result.Signal, s.code, outcome.Tail(result.Log))
	}
	if result.Stopped == 0 || result.Stopped > shimGone {
		t.Errorf("the shim took %v to end, want it gone within %v of the first signal", result.Stopped, shimGone)
	}
	if s.code != 137 {
		outcome.Error(t, result, "cancelled", "[cancelled]")
	}
	for name, want := range map[string]bool{"kaniko": c.builds, "job": c.runs} {
		if found := len(f.Seen.Of(name, marker)) > 0; found != want {
			t.Errorf("a pod with container %s was there: %v, want %v", name, found, want)
		} else if want {
			wantPodGone(t, f, name, marker, signalled)
		}
	}
}

// wantPodGone fails the test unless there was a pod with that container whose
// spec has the marker, it was told to end in time, and it went.
func wantPodGone(t *testing.T, f *suite.Fixture, container, marker string, signalled time.Time) {
	t.Helper()
	states := f.Seen.Of(container, marker)
	if len(states) == 0 {
		t.Errorf("no pod with container %s was there", container)
		return
	}
	ctx, cancel := context.WithDeadline(t.Context(), signalled.Add(podsGone))
	defer cancel()
	err := f.Seen.Await(ctx, func() bool {
		states = f.Seen.Of(container, marker)
		return states[len(states)-1].Type == watch.Deleted
	})
	last := states[len(states)-1]
	if err != nil {
		t.Errorf("pod %s is still there: %v", last.Pod.Name, err)
		return
	}
	if took := ends(states).Sub(signalled); took > podsOver {
		t.Errorf("told to end and given its grace, pod %s was to be gone %v after the signal, want %v at most", last.Pod.Name, took, podsOver)
	}
}

// ends is when a pod that is gone had to be so: its grace after it was told to end.
// What it took beyond that is the node's.
func ends(states []harness.Sighting) time.Time {
	end := states[len(states)-1].At
	for _, s := range states {
		if s.Pod.DeletionTimestamp == nil || s.Pod.DeletionGracePeriodSeconds == nil {
			continue
		}
		grace := time.Duration(*s.Pod.DeletionGracePeriodSeconds) * time.Second
		if told := s.At.Add(grace); told.Before(end) {
			end = told
		}
	}
	return end
}

// cancelStaging cancels steps one after the other while the shim copies a
// context that takes it some time, and one while the daemon does.
func cancelStaging(t *testing.T, f *suite.Fixture) {
	large := func(marker string) (runner.Step, harness.Files) {
		step, files := sample.Build(marker, "FROM busybox\nCOPY big /\n")
		dir := suite.WorkFolder + "/" + strings.TrimSuffix(step.Dockerfile, "/Dockerfile")
		// It has no blocks on the disk, but has to be read and written.
		if _, err := f.Run(t.Context(), "bash", "-c", "mkdir -p "+dir+" && truncate -s 400M "+dir+"/big"); err != nil {
			t.Fatal(err)
		}
		return step, files
	}
	for _, s := range cancelSignals() {
		t.Run("staging "+s.name, func(t *testing.T) {
			cancelIn(t, f, phaseCase{name: "staging", path: "/var/run/kiln/tmp/*/context.tar", step: large}, s)
		})
	}
	t.Run("copying", func(t *testing.T) {
		cancelIn(t, f, phaseCase{name: "copying", path: "/var/run/kiln/requests/*/request.json", step: large}, cancelSignals()[0])
	})
}

// wantNoTrace is wantNothingLeft with the daemon's state, for fixtures that
// show it; how names are looked up stays there for a restart. Of a killed shim the
// daemon removes a draft only when it is certain that nobody holds it.
func wantNoTrace(t *testing.T, f *suite.Fixture) {
	t.Helper()
	f.Eventually(t, 20*time.Second, func(ctx context.Context) error {
		left, err := f.Run(ctx, "sh", "-c", "find /var/run/kiln -mindepth 2; find "+stateDir+" -mindepth 1 -maxdepth 1 ! -name resolver.json")
		if err == nil && left != "" {
			err = fmt.Errorf("left in the exchange or the state:\n%s", left)
		}
		return err
	})
}

// stateDir is where the runner container has the daemon's state with
// showState, which no operator would use.
const stateDir = "/mnt/kiln-state"

func showState(pod *corev1.Pod) {
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == harness.RunnerContainer {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "kiln-state", MountPath: stateDir, ReadOnly: true})
		}
	}
}

// silentRegistry starts a pod that takes connections and says nothing, and
// returns its host and port: whoever pushes or pulls there waits.
func silentRegistry(t *testing.T, f *suite.Fixture) string {
	t.Helper()
	const name, listen = "silent-registry", `$s = IO::Socket::INET->new(LocalPort => 5000, Listen => 128) or die; sleep 3600`
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kiln-harness": "true"}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{{
				Name: "registry", Image: f.Images.Runner,
				Command: []string{"perl", "-MIO::Socket::INET", "-e", listen},
			}},
		},
	}
	if _, err := f.Kube.CoreV1().Pods(f.Namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	host := ""
	err := f.Await(t.Context(), f.Namespace, name, func(pod *corev1.Pod) (bool, error) {
		host = pod.Status.PodIP
		return pod.Status.Phase == corev1.PodRunning && host != "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return host + ":5000"
}

// TestTimeouts has an operator's limits end a build and an action: each with
// one error that names the setting, and their pods at once.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "timeouts", func(_ suite.Stage, o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{"KILN_BUILD_TIMEOUT": "3s", "KILN_STEP_TIMEOUT": "2s"}
		o.Adjust = showState
	})
	t.Run("cases", func(t *testing.T) {
		t.Run("build", func(t *testing.T) {
			t.Parallel()
			step, files := sample.Build("build-time", "FROM busybox\nRUN sleep 600\n")
			wantTimeout(t, f, step, files, "3s (KILN_BUILD_TIMEOUT)")
			wantPodGone(t, f, "kaniko", "build-time", time.Now())
		})
		t.Run("step", func(t *testing.T) {
			t.Parallel()
			step, _ := stubborn("step-time")
			wantTimeout(t, f, step, nil, "2s (KILN_STEP_TIMEOUT)")
			wantPodGone(t, f, "job", "step-time", time.Now())
		})
	})
	f.WantNothingLeft(t)
	wantNoTrace(t, f)
}

// wantTimeout fails the test unless the step ends with one error that says why.
func wantTimeout(t *testing.T, f *suite.Fixture, step runner.Step, files harness.Files, why string) {
	t.Helper()
	result := f.Play(t, step, files)
	outcome.Error(t, result, why, "[deadline]")
	if result.ExitCode != 1 {
		t.Errorf("exit code = %d, want 1", result.ExitCode)
	}
}
