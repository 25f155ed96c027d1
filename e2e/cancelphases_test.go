//go:build e2e

package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// Limits of a cancelled step.
const (
	shimGone = 5 * time.Second
	podsGone = 10 * time.Second
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

// plainBuild is a step of an action of one Dockerfile. The name of its image
// contains the marker.
func plainBuild(dockerfile string) func(string) (runner.Step, harness.Files) {
	return func(marker string) (runner.Step, harness.Files) {
		dir := runner.ActionDir("acme/" + marker + "@v1")
		files := harness.Files{dir + "/Dockerfile": {Data: []byte(dockerfile)}}
		return runner.Step{Repository: "acme/" + marker, Dockerfile: dir + "/Dockerfile"}, files
	}
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
	f := newFixture(t, "phases", func(_ stage, o *harness.PodOptions) { o.Adjust = showState })
	silent := f.silentRegistry(t)
	t.Run("runners", func(t *testing.T) {
		t.Run("default", func(t *testing.T) {
			t.Parallel()
			f.cancelStaging(t)
			f.cancelEach(t, []phaseCase{
				{name: "build", after: "building slowly", builds: true, step: plainBuild("FROM busybox\nRUN echo building slowly && sleep 600\n")},
				{name: "pull", after: "kiln: waiting", runs: true, step: func(marker string) (runner.Step, harness.Files) {
					return runner.Step{Repository: "acme/app", Image: silent + "/" + marker + ":v1"}, nil
				}},
				{name: "run", after: "working\n", runs: true, step: stubborn},
			})
		})
		t.Run("unschedulable", func(t *testing.T) {
			t.Parallel()
			g := f.another(t, "unschedulable", func(o *harness.PodOptions) {
				f.giveTemplates(t, o, "spec:\n  nodeSelector: {kiln-e2e/no-such: node}\n", "")
				o.Adjust = both(o.Adjust, showState)
			})
			g.cancelEach(t, []phaseCase{{name: "pending", after: "kiln: waiting", builds: true, step: plainBuild("FROM busybox\n")}})
		})
		t.Run("silent registry", func(t *testing.T) {
			t.Parallel()
			g := f.another(t, "silent", func(o *harness.PodOptions) {
				o.Adjust = showState
				o.DaemonEnv = map[string]string{
					"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH": silent + "/kiln",
					"KILN_INSECURE_REGISTRIES":                              f.Insecure + "," + silent,
				}
			})
			g.cancelEach(t, []phaseCase{{name: "push", after: " pushing ", builds: true, step: plainBuild("FROM busybox\nENTRYPOINT [\"true\"]\n")}})
		})
	})
	left, err := f.Leftovers(t.Context(), f.Namespace, 5*time.Second)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the namespace: %v, %v", left, err)
	}
}

// cancelEach plays every case once for each signal, all at the same time.
func (f *fixture) cancelEach(t *testing.T, cases []phaseCase) {
	t.Run("phases", func(t *testing.T) {
		for _, c := range cases {
			for _, s := range cancelSignals() {
				t.Run(c.name+" "+s.name, func(t *testing.T) {
					t.Parallel()
					f.cancelIn(t, c, s)
				})
			}
		}
	})
	f.wantNoTrace(t)
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
func (f *fixture) cancelIn(t *testing.T, c phaseCase, s cancelSignal) {
	marker := c.name + "-" + strings.ToLower(s.name)
	step, files := c.step(marker)
	step.Interrupt = &runner.Interrupt{After: c.after, Path: c.path, Signals: s.signals}
	result, err := f.Step(t.Context(), step, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	signalled := time.Now().Add(-result.Stopped)
	if result.ExitCode != s.code {
		t.Errorf("exit code = %d (%s), want %d:\n%s", result.ExitCode, result.Signal, s.code, tail(result.Log))
	}
	if result.Stopped == 0 || result.Stopped > shimGone {
		t.Errorf("the shim took %v to end, want it gone within %v of the first signal", result.Stopped, shimGone)
	}
	if s.code != 137 {
		wantError(t, result, "cancelled", "[cancelled]")
	}
	for name, want := range map[string]bool{"kaniko": c.builds, "job": c.runs} {
		f.wantPodGone(t, name, marker, signalled, want)
	}
}

// wantPodGone fails the test unless there was a pod with that container whose
// spec has the marker, or none where none is wanted, and it went in time.
func (f *fixture) wantPodGone(t *testing.T, container, marker string, signalled time.Time, want bool) {
	t.Helper()
	for {
		states := f.statesOf(container, marker)
		if found := len(states) > 0; found != want {
			t.Errorf("a pod with container %s was there: %v, want %v", container, found, want)
			return
		}
		if !want {
			return
		}
		last := states[len(states)-1]
		if last.Type == watch.Deleted {
			if took := last.At.Sub(signalled); took > podsGone {
				t.Errorf("pod %s was gone %v after the signal, want %v at most; told to end and given its grace, it was to be gone after %v", last.Pod.Name, took, podsGone, ends(states).Sub(signalled))
			}
			return
		}
		if time.Since(signalled) > 3*podsGone {
			t.Errorf("pod %s is still there", last.Pod.Name)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ends is when a pod that was deleted had to be gone: its grace after it was
// told to end. What it takes beyond that is the node's.
func ends(states []harness.Sighting) time.Time {
	for _, s := range states {
		if s.Pod.DeletionTimestamp != nil && s.Pod.DeletionGracePeriodSeconds != nil {
			return s.At.Add(time.Duration(*s.Pod.DeletionGracePeriodSeconds) * time.Second)
		}
	}
	return states[len(states)-1].At
}

// lastOf is the last state of the pod with that container whose spec has the
// marker.
func (f *fixture) lastOf(container, marker string) (last harness.Sighting, found bool) {
	states := f.statesOf(container, marker)
	if len(states) == 0 {
		return harness.Sighting{}, false
	}
	return states[len(states)-1], true
}

// statesOf are the states of the last pod with that container whose spec has the
// marker, oldest first.
func (f *fixture) statesOf(container, marker string) (states []harness.Sighting) {
	for _, s := range f.seen.Sightings() {
		if !harness.HasContainer(s.Pod, container) {
			continue
		}
		spec, err := json.Marshal(s.Pod.Spec)
		if err != nil || !strings.Contains(string(spec), marker) {
			continue
		}
		if len(states) > 0 && states[0].Pod.UID != s.Pod.UID {
			states = nil
		}
		states = append(states, s)
	}
	return states
}

// cancelStaging cancels steps one after the other while the shim copies a
// context that takes it some time, and one while the daemon does.
func (f *fixture) cancelStaging(t *testing.T) {
	large := func(marker string) (runner.Step, harness.Files) {
		step, files := plainBuild("FROM busybox\nCOPY big /\n")(marker)
		const work = "/home/runner/_work/"
		dir := work + strings.TrimSuffix(step.Dockerfile, "/Dockerfile")
		// It has no blocks on the disk, but has to be read and written.
		if _, err := f.Run(t.Context(), "bash", "-c", "mkdir -p "+dir+" && truncate -s 400M "+dir+"/big"); err != nil {
			t.Fatal(err)
		}
		return step, files
	}
	for _, s := range cancelSignals() {
		t.Run("staging "+s.name, func(t *testing.T) {
			f.cancelIn(t, phaseCase{name: "staging", path: "/var/run/kiln/tmp/*/context.tar", step: large}, s)
		})
	}
	t.Run("copying", func(t *testing.T) {
		f.cancelIn(t, phaseCase{name: "copying", path: "/var/run/kiln/requests/*/request.json", step: large}, cancelSignals()[0])
	})
}

// wantNoTrace is wantNothingLeft with the daemon's state, for fixtures that
// show it; how names are looked up stays there for a restart. Of a killed shim the
// daemon removes a draft only when it is certain that nobody holds it.
func (f *fixture) wantNoTrace(t *testing.T) {
	t.Helper()
	var left string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		var err error
		left, err = f.Run(t.Context(), "sh", "-c", "find /var/run/kiln -mindepth 2; find "+stateDir+" -mindepth 1 -maxdepth 1 ! -name resolver.json")
		if err != nil {
			t.Error(err)
			return
		}
		if left == "" {
			break
		}
	}
	if left != "" {
		t.Errorf("left in the exchange or the state:\n%s", left)
	}
}

// another starts a further runner pod in the fixture's namespace.
func (f *fixture) another(t *testing.T, name string, adjust func(*harness.PodOptions)) *fixture {
	t.Helper()
	o := f.options(name)
	adjust(&o)
	r, err := f.StartRunner(t.Context(), f.Namespace, o)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{stage: f.stage, Runner: r, seen: f.seen, installed: f.installed}
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

func both(a, b func(*corev1.Pod)) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { a(pod); b(pod) }
}

// giveTemplates mounts pod templates in the daemon's container and names them
// in its settings. An empty one is left out.
func (f *fixture) giveTemplates(t *testing.T, o *harness.PodOptions, build, hook string) {
	t.Helper()
	const volume, dir = "templates", "/etc/kiln-templates"
	files := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: o.Name + "-" + volume},
		Data:       map[string]string{"build.yaml": build, "hook.yaml": hook},
	}
	if _, err := f.Kube.CoreV1().ConfigMaps(f.Namespace).Create(t.Context(), files, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	o.DaemonEnv = map[string]string{}
	if build != "" {
		o.DaemonEnv["KILN_BUILD_TEMPLATE"] = dir + "/build.yaml"
	}
	if hook != "" {
		o.DaemonEnv["ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE"] = dir + "/hook.yaml"
	}
	o.Adjust = func(pod *corev1.Pod) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: files.Name}},
		}})
		for i := range pod.Spec.InitContainers {
			if c := &pod.Spec.InitContainers[i]; c.Name == harness.DaemonContainer {
				c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: dir, ReadOnly: true})
			}
		}
	}
}

// silentRegistry starts a pod that takes connections and says nothing, and
// returns its host and port: whoever pushes or pulls there waits.
func (f *fixture) silentRegistry(t *testing.T) string {
	t.Helper()
	const name, listen = "silent-registry", `$s = IO::Socket::INET->new(LocalPort => 5000, Listen => 128) or die; sleep 3600`
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kiln-harness": "true"}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{{
				Name: "registry", Image: f.images.Runner,
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
	f := newFixture(t, "timeouts", func(_ stage, o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{"KILN_BUILD_TIMEOUT": "3s", "KILN_STEP_TIMEOUT": "2s"}
		o.Adjust = showState
	})
	t.Run("cases", func(t *testing.T) {
		t.Run("build", func(t *testing.T) {
			t.Parallel()
			step, files := plainBuild("FROM busybox\nRUN sleep 600\n")("build-time")
			f.wantTimeout(t, step, files, "3s (KILN_BUILD_TIMEOUT)")
			f.wantPodGone(t, "kaniko", "build-time", time.Now(), true)
		})
		t.Run("step", func(t *testing.T) {
			t.Parallel()
			step, _ := stubborn("step-time")
			f.wantTimeout(t, step, nil, "2s (KILN_STEP_TIMEOUT)")
			f.wantPodGone(t, "job", "step-time", time.Now(), true)
		})
	})
	f.wantNothingLeft(t)
	f.wantNoTrace(t)
}

// wantTimeout fails the test unless the step ends with one error that says why.
func (f *fixture) wantTimeout(t *testing.T, step runner.Step, files harness.Files, why string) {
	t.Helper()
	result, err := f.Step(t.Context(), step, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, result, why, "[deadline]")
	if result.ExitCode != 1 {
		t.Errorf("exit code = %d, want 1", result.ExitCode)
	}
}
