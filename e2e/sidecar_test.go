//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
	"kiln/internal/failure"
)

// TestSidecar has happen to the kiln container what can happen to one. Actions
// Runner Controller deletes a runner whose sidecar has ended with another code
// than 0, and a sidecar that never starts keeps its runner from every job: so the
// runner starts in every case, the container is not restarted, and a step says in
// one line what is wrong, or works.
func TestSidecar(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "sidecar", nil)
	t.Run("runners", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *suite.Fixture){
			"worker aborts": sidecarAborts, "worker out of memory": sidecarOutOfMemory,
			"container is terminated": sidecarTerminated, "pod is deleted": sidecarDeleted,
			"ports are taken": sidecarPortsTaken, "litter": sidecarLittered,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, f)
			})
		}
		for _, c := range sidecarCases() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				sidecarRefuses(t, f, c)
			})
		}
	})
	f.WantNothingLeft(t)
}

// A sidecarCase is a sidecar that cannot work, and what a step says of it.
type sidecarCase struct {
	name     string
	settings map[string]string
	seed     string // a script that runs before the sidecar starts
	says     string
	reason   failure.Reason // where kilnd refuses it
}

func sidecarCases() []sidecarCase {
	return []sidecarCase{
		{name: "unknown value", settings: map[string]string{"KILN_PLACEMENT": "nowhere"}, says: "KILN_PLACEMENT", reason: failure.Misconfigured},
		{name: "malformed quantity", settings: map[string]string{"KILN_BUILD_MEMORY": "plenty"}, says: "KILN_BUILD_MEMORY", reason: failure.Misconfigured},
		{name: "no registry host", settings: map[string]string{"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST": ""}, says: "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST", reason: failure.Misconfigured},
		{name: "no exchange", settings: map[string]string{"KILN_EXCHANGE": "/nowhere"}, says: "no daemon answers"},
		{name: "no state", settings: map[string]string{"KILN_STATE": "/kilnd"}, says: "open state", reason: failure.Misconfigured},
		{name: "exchange is no directory", seed: "ln -s /etc /exchange/requests", says: "no daemon answers"},
		{name: "lock of another", seed: "umask 077; echo >/exchange/daemon.lock", says: "no daemon answers"},
		// 192.0.2.0/24 is for documentation (RFC 5737): nobody is there.
		{name: "no API server", settings: map[string]string{"KUBERNETES_SERVICE_HOST": "192.0.2.1"}, says: "look at the API server", reason: failure.ClusterUnreachable},
	}
}

// sidecarRefuses starts a runner whose sidecar cannot work.
func sidecarRefuses(t *testing.T, f *suite.Fixture, c sidecarCase) {
	t.Helper()
	g := sidecar(t, f, c.name, func(pod *corev1.Pod) {
		daemon := daemonOf(pod)
		for name, value := range c.settings {
			daemon.Env = append(daemon.Env, corev1.EnvVar{Name: name, Value: value})
		}
		if c.seed != "" {
			seed(f, pod, c.seed)
		}
	})
	result := g.Play(t, sample.Shell(f.Busybox(), "exit 0"), nil)
	outcome.Error(t, result, c.says)
	if c.reason != "" {
		outcome.Error(t, result, c.reason.Mark())
	}
	t.Logf("after %v:\n%s", result.Duration, result.Log)
	wantNoRestart(t, g)
}

// sidecar starts a further runner pod, whose processes a test may signal. Its
// steps do not wait long for a daemon.
func sidecar(t *testing.T, f *suite.Fixture, name string, adjust func(*corev1.Pod)) *suite.Fixture {
	t.Helper()
	return f.Another(t, strings.ToLower(strings.ReplaceAll(name, " ", "-")), func(o *harness.PodOptions) {
		o.ShareProcesses, o.Adjust = true, adjust
		o.RunnerEnv = map[string]string{"KILN_DAEMON_GRACE": "5s"}
	})
}

func daemonOf(pod *corev1.Pod) *corev1.Container {
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.Name == harness.DaemonContainer {
			return c
		}
	}
	return &corev1.Container{}
}

// seed runs a script on the exchange and the state before the sidecar starts, as
// root, so that some of it is beyond the sidecar's rights.
func seed(f *suite.Fixture, pod *corev1.Pod, script string) {
	suite.Before(pod, corev1.Container{
		Name: "seed", Image: f.Busybox(), Command: []string{"sh", "-euc", script},
		VolumeMounts: []corev1.VolumeMount{{Name: "kiln-exchange", MountPath: "/exchange"}, {Name: "kiln-state", MountPath: "/state"}},
	})
}

// wantNoRestart fails the test unless the kubelet has seen nothing.
func wantNoRestart(t *testing.T, f *suite.Fixture) {
	t.Helper()
	if restarts, err := f.Restarts(t.Context()); err != nil || restarts != 0 {
		t.Errorf("the container was restarted %d times, %v", restarts, err)
	}
}

// wantWorks fails the test unless a step works.
func wantWorks(t *testing.T, f *suite.Fixture) *harness.Result {
	t.Helper()
	result := f.Play(t, sample.Shell(f.Busybox(), "echo alive"), nil)
	outcome.Success(t, result)
	outcome.Log(t, result, "alive\n")
	return result
}

// endless is a step that runs until it is stopped, and says so first.
func endless(f *suite.Fixture) runner.Step {
	return sample.Shell(f.Busybox(), "echo running; exec sleep 600")
}

// during plays a step that runs until it is stopped, and does something once it
// runs.
func during(t *testing.T, f *suite.Fixture, act func() error) *harness.Result {
	t.Helper()
	step := f.Start(t.Context(), endless(f), nil)
	step.Await(t, "running\n")
	if err := act(); err != nil {
		t.Fatal(err)
	}
	return step.Wait(t)
}

// sidecarAborts ends the worker as a fault of its own would. The next one goes on
// with its step.
func sidecarAborts(t *testing.T, f *suite.Fixture) {
	g := sidecar(t, f, "aborts", nil)
	step := g.Start(t.Context(), sample.Shell(g.Busybox(), "echo running; sleep 10; echo went on"), nil)
	step.Await(t, "running\n")
	if err := g.SignalDaemon(t.Context(), harness.Worker, "ABRT"); err != nil {
		t.Fatal(err)
	}
	result := step.Wait(t)
	outcome.Success(t, result)
	outcome.Log(t, result, "went on\n")
	wantWorks(t, g)
	wantNoRestart(t, g)
}

// sidecarOutOfMemory has more large requests at once than the worker has memory
// for. What the runner container may ask for is bounded, so it takes the smallest
// container that limits its worker, and a high KILN_MAX_IN_FLIGHT.
func sidecarOutOfMemory(t *testing.T, f *suite.Fixture) {
	const crowd = 24
	g := f.Another(t, "memory", func(o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{"KILN_MAX_IN_FLIGHT": "50"}
		o.Adjust = func(pod *corev1.Pod) {
			daemonOf(pod).Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("136Mi")}
		}
	})
	step, files := sample.Build("memory", "FROM busybox\nRUN sleep 45\n")
	step.Env = map[string]string{"LARGE": strings.Repeat("x", 3<<20)}
	first := g.Start(t.Context(), step, files)
	first.Await(t, "kiln: not built yet\n") // the files are there, and are written no more
	all := []*suite.Playing{first}
	for range crowd - 1 {
		all = append(all, g.Start(t.Context(), step, nil))
	}
	for _, p := range all {
		// What ends one worker after the other is given up; the rest goes on.
		if result := p.Wait(t); result.ExitCode != 0 {
			outcome.Error(t, result, "kiln")
		}
	}
	log, err := g.DaemonLog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log, "the worker ended by itself") || !strings.Contains(log, "out of memory") && !strings.Contains(log, "cannot allocate memory") {
		t.Errorf("the container's log does not say that the worker ran out of memory:\n%s", outcome.Tail(log))
	}
	wantWorks(t, g)
	wantNoRestart(t, g)
}

// sidecarTerminated tells the container alone to end. The kubelet starts it
// again, and the controller sees a sidecar that ended well.
func sidecarTerminated(t *testing.T, f *suite.Fixture) {
	g := sidecar(t, f, "terminated", nil)
	result := during(t, g, func() error { return g.SignalDaemon(t.Context(), harness.Supervisor, "TERM") })
	outcome.Error(t, result, "kiln's daemon is being stopped")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := f.Await(ctx, f.Namespace, g.Pod, func(pod *corev1.Pod) (bool, error) {
		s, _ := harness.DaemonStatus(pod)
		if last := s.LastTerminationState.Terminated; last != nil && last.ExitCode != 0 {
			t.Errorf("the container ended with exit code %d", last.ExitCode)
		}
		return s.RestartCount == 1 && s.State.Running != nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantWorks(t, g)
}

// sidecarDeleted deletes the pod while an action runs.
func sidecarDeleted(t *testing.T, f *suite.Fixture) {
	g := sidecar(t, f, "deleted", nil)
	g.Start(t.Context(), endless(g), nil).Await(t, "running\n") // its runner container ends under it
	began := time.Now()
	var last corev1.ContainerStatus
	if err := f.Kube.CoreV1().Pods(f.Namespace).Delete(t.Context(), g.Pod, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := f.Await(ctx, f.Namespace, g.Pod, func(pod *corev1.Pod) (bool, error) {
		last, _ = harness.DaemonStatus(pod)
		return false, nil
	})
	if !errors.Is(err, harness.ErrDeleted) {
		t.Fatal(err)
	}
	ended := last.State.Terminated
	if ended == nil || ended.ExitCode != 0 {
		t.Fatalf("the container's last state = %+v, want exit code 0", last.State)
	}
	if took := ended.FinishedAt.Sub(began); took > 20*time.Second {
		t.Errorf("the container took %v to end, of the 30s that its pod has", took)
	}
}

// sidecarPortsTaken has another sidecar listen first.
func sidecarPortsTaken(t *testing.T, f *suite.Fixture) {
	const listen = `@s = map { IO::Socket::INET->new(LocalPort => $_, Listen => 128) or die } 9464, 9465; sleep 3600`
	always := corev1.ContainerRestartPolicyAlways
	g := sidecar(t, f, "ports", func(pod *corev1.Pod) {
		suite.Before(pod, corev1.Container{
			Name: "first", Image: f.Images.Runner, RestartPolicy: &always,
			Command: []string{"perl", "-MIO::Socket::INET", "-e", listen},
			StartupProbe: &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 60, ProbeHandler: corev1.ProbeHandler{
				Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "grep -q :24F9 /proc/net/tcp*"}}, // 9465
			}},
		})
	})
	result := wantWorks(t, g)
	outcome.Log(t, result, "kiln's daemon cannot serve /readyz", "kiln's daemon cannot serve /metrics")
	wantNoRestart(t, g)
}

// sidecarLittered has the exchange and the state full of what no kiln wrote.
func sidecarLittered(t *testing.T, f *suite.Fixture) {
	const id = "aaaaaaaaaaaaaaaaaaaaaaaaa"
	script := `cd /exchange
mkdir -m 777 requests; mkdir -m 777 cancel; mkdir -m 777 responses; mkdir -m 777 tmp
mkdir settings.json; echo x >file; mkfifo pipe; ln -s /etc link
mkdir requests/ID1 responses/ID1; mkfifo requests/ID1/request.json; ln -s /etc/passwd responses/ID1/result.json
echo x >requests/ID2; ln -s /etc responses/ID2; mkdir cancel/ID2; ln -s / tmp/ID2; mkdir -m 700 tmp/ID3; echo x >tmp/ID3/lock
cd /state
mkdir -m 700 ID1 ID1/deep; echo x >ID1/context.tar.gz; echo x >ID2; ln -s /etc ID3; mkdir ID4; echo x >ID4/context.tar.gz; mkfifo pipe; echo x >file
`
	g := sidecar(t, f, "litter", func(pod *corev1.Pod) { seed(f, pod, strings.ReplaceAll(script, "ID", id)) })
	wantWorks(t, g)
	results := g.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	outcome.Success(t, results...)
	wantNoRestart(t, g)
}
