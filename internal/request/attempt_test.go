package request

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/runnerpod"
	"kiln/internal/steplog"
)

// buildSpec is a build pod as this runner would make it.
func buildSpec() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "kiln-build-x", Namespace: "ci", UID: "1"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "kaniko", Image: "kaniko"}, {Name: "gate", Image: "kiln"}}},
	}
}

// TestUnfit looks at pods that have the name of a build.
func TestUnfit(t *testing.T) {
	sidecar := func(pod *corev1.Pod) {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "mesh", Image: "mesh"})
	}
	for name, tt := range map[string]struct {
		change func(*corev1.Pod)
		admit  func(*corev1.Pod) // what admission does to every pod
		want   string
	}{
		"alive and the same": {func(*corev1.Pod) {}, nil, ""},
		"being deleted": {func(p *corev1.Pod) {
			p.DeletionTimestamp = new(metav1.Now())
		}, nil, "it is being deleted"},
		"over": {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, nil, "it has ended"},
		"its gate has ended": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "gate", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
		}, nil, "it has ended"},
		"another image":               {func(p *corev1.Pod) { p.Spec.Containers[1].Image = "evil" }, nil, "it is not what kiln makes"},
		"a sidecar that nobody knows": {sidecar, nil, "it is not what kiln makes"},
		"a sidecar that all get":      {sidecar, sidecar, ""},
		"another sidecar":             {func(p *corev1.Pod) { sidecar(p); p.Spec.Containers[2].Image = "evil" }, sidecar, "it is not what kiln makes"},
	} {
		t.Run(name, func(t *testing.T) {
			kube := fake.NewClientset()
			kube.PrependReactor("create", "pods", func(action kubetesting.Action) (bool, runtime.Object, error) {
				create := action.(kubetesting.CreateActionImpl)
				if options := create.GetCreateOptions(); len(options.DryRun) == 0 {
					t.Error("a pod was really created")
				}
				pod := create.GetObject().(*corev1.Pod).DeepCopy()
				if tt.admit != nil {
					tt.admit(pod)
				}
				return true, pod, nil
			})
			s := &step{handler: &Handler{pods: podrun.Client{Kube: kube, Namespace: "ci"}}}
			pod := buildSpec()
			tt.change(pod)
			if got := s.unfit(t.Context(), pod, buildSpec()); got != tt.want {
				t.Errorf("unfit = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	start := time.Now()
	for name, tt := range map[string]struct {
		image   *registry.Image
		missing string
		maxAge  time.Duration
		note    string
		why     string
	}{
		"none":               {nil, "", time.Hour, "", "not built yet"},
		"young":              {&registry.Image{Digest: "d", Created: start.Add(-20 * time.Minute)}, "", time.Hour, "reused (built 20m ago)", ""},
		"old":                {&registry.Image{Digest: "d", Created: start.Add(-2 * time.Hour)}, "", time.Hour, "", "older than 1h"},
		"never":              {&registry.Image{Digest: "d", Created: start.Add(-time.Second)}, "", 0, "", "reuse is off"},
		"built meanwhile":    {&registry.Image{Digest: "d", Created: start.Add(time.Second)}, "", 0, "built by another runner", ""},
		"of the future":      {&registry.Image{Digest: "d", Created: start.AddDate(900, 0, 0)}, "", time.Hour, "", "its build time is ahead of the clock"},
		"of the future, off": {&registry.Image{Digest: "d", Created: start.AddDate(900, 0, 0)}, "", 0, "", "reuse is off"},
		"not on any node":    {&registry.Image{Digest: "d", Created: start.Add(-time.Minute)}, "d", time.Hour, "", "the nodes do not find it"},
		"another than that":  {&registry.Image{Digest: "e", Created: start.Add(time.Second)}, "d", time.Hour, "built by another runner", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &step{handler: &Handler{operator: Operator{Settings: &config.Settings{ReuseMaxAge: tt.maxAge}}}, times: steplog.NewTimes(nil), missing: tt.missing}
			found, why := s.decide(tt.image)
			if found.note != tt.note || why != tt.why || (why == "") != (found.digest != "") {
				t.Errorf("found %+v, why %q; want note %q, why %q", found, why, tt.note, tt.why)
			}
		})
	}
}

// TestHolds lets two steps of one runner need the same pod: the runner gives it
// up with the second.
func TestHolds(t *testing.T) {
	var h holds
	mine := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1", Labels: map[string]string{label.Request: "a"}}}
	followed := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "2", Labels: map[string]string{label.Request: "elsewhere"}}}
	h.begin("a")
	if !h.used(mine) || h.used(followed) {
		t.Error("the pod of a step counts from its beginning, another's does not")
	}
	h.hold("2")
	h.hold("2")
	if h.drop("2") || !h.used(followed) {
		t.Error("the first step to leave was the last")
	}
	if !h.drop("2") || h.used(followed) {
		t.Error("the last step to leave was not")
	}
	h.end("a")
	if h.used(mine) {
		t.Error("a step that is over needs its pod")
	}
}

func TestPin(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for reference, want := range map[string]string{
		"alpine":                           "index.docker.io/library/alpine:latest@" + digest,
		"ghcr.io/acme/base:3.20":           "ghcr.io/acme/base:3.20@" + digest,
		"localhost:5000/x:y":               "localhost:5000/x:y@" + digest,
		"ghcr.io/acme/base@" + digest:      "ghcr.io/acme/base@" + digest,
		"ghcr.io/acme/base:3.20@" + digest: "ghcr.io/acme/base:3.20@" + digest,
	} {
		if got, err := pin(reference, digest); err != nil || got != want {
			t.Errorf("pin(%q) = %q, %v; want %q", reference, got, err, want)
		}
	}
	if _, err := pin("Not An Image", digest); err == nil {
		t.Error("what is no reference was pinned")
	}
}

// TestReleaseBuildsAfterARestart gives up what an earlier run of the daemon made
// or followed, and nothing else.
func TestReleaseBuildsAfterARestart(t *testing.T) {
	self := runnerpod.Self{Name: "runner", UID: "me"}
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "other", UID: "other"}
	pod := func(name, request string, owners ...metav1.OwnerReference) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "ci", UID: "uid-" + "1", OwnerReferences: owners,
			Labels: map[string]string{label.Role: label.RoleBuild, label.Request: request},
		}}
	}
	kube := fake.NewClientset(
		pod("made", "dead", self.Owner()),
		pod("followed", "elsewhere", other, self.Owner()),
		pod("foreign", "elsewhere", other),
		pod("new", "alive", self.Owner()),
	)
	h := &Handler{
		pods:   podrun.Client{Kube: kube, Namespace: "ci"},
		runner: runnerNamed("runner", "me"),
		logger: zap.NewNop(),
	}
	h.holds.begin("alive")
	if err := h.releaseBuilds(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left []string
	list, err := kube.CoreV1().Pods("ci").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		var owners []string
		for _, o := range p.OwnerReferences {
			owners = append(owners, o.Name)
		}
		left = append(left, p.Name+"="+strings.Join(owners, ","))
	}
	if got, want := strings.Join(left, " "), "followed=other foreign=other new=runner"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
}

// TestAgainIsNoFailure tells a pod that somebody removed from one that the
// cluster ended.
func TestAgainIsNoFailure(t *testing.T) {
	b := &build{step: &step{log: steplog.New(&strings.Builder{}, "", false)}}
	if err := b.gone(podrun.ErrGone); !errors.Is(err, errAgain) {
		t.Errorf("a pod that went away: %v, want another look", err)
	}
	b.pod = &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "TerminationByKubelet", Message: "low on memory"},
	}}}
	if err := b.gone(podrun.ErrGone); errors.Is(err, errAgain) || !strings.Contains(err.Error(), "low on memory") {
		t.Errorf("an evicted pod: %v", err)
	}
}

// TestContextGrace: a creator is given up for dead only when the pod could have
// taken the context all the time, not while the gate's image is pulled.
func TestContextGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := failedBuild(t, corev1.ContainerStateTerminated{})
		b.role, b.shown = follower, true // Kaniko runs, the gate does not
		b.awaitContext()
		time.Sleep(2 * contextGrace)
		select {
		case <-b.deadline.C:
			t.Fatal("a pod whose gate does not listen was given up")
		default:
		}
		if err := b.late(t.Context()); !strings.Contains(err.Error(), "KILN_PENDING_TIMEOUT") {
			t.Errorf("late without a gate: %v", err)
		}
		b.hear(t.Context(), "listening")
		began := time.Now()
		<-b.deadline.C
		if took := time.Since(began); took != contextGrace || !b.waitsForContext() {
			t.Errorf("given up after %v, want %v", took, contextGrace)
		}
	})
}

// TestExecutorMemo: a registry that does not answer is left alone for a while;
// a step that was cancelled says nothing of it.
func TestExecutorMemo(t *testing.T) {
	client := registry.NewClient(registry.ClientConfig{Transport: unreachable{}})
	var memo executorMemo
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := memo.resolve(cancelled, client, "registry.example.com/kaniko:v1"); err == nil || memo.err != nil {
		t.Errorf("cancelled: %v, remembered %v", err, memo.err)
	}
	if _, err := memo.resolve(t.Context(), client, "registry.example.com/kaniko:v1"); err == nil || memo.err == nil {
		t.Errorf("unreachable: %v, remembered %v", err, memo.err)
	}
}

// unreachable is a network without registries.
type unreachable struct{}

// RoundTrip implements [http.RoundTripper].
func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no route")
}

// TestTheEndOfARemovedPodIsNoFailure has Kaniko end because somebody removed its
// pod, and fail in one that its creator removes at once: as process 1 it ends with
// exit code 2 at SIGTERM (runtime.dieFromSignal).
func TestTheEndOfARemovedPodIsNoFailure(t *testing.T) {
	now := metav1.Now()
	removed := failedBuild(t, corev1.ContainerStateTerminated{ExitCode: 2})
	removed.pod.DeletionTimestamp = &now
	if err := removed.failure(); !errors.Is(err, errAgain) {
		t.Errorf("a removed pod: %v, want another look", err)
	}
	failed := failedBuild(t, corev1.ContainerStateTerminated{ExitCode: 1}, "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 3\n")
	failed.pod.DeletionTimestamp = &now
	if err := failed.failure(); failure.Of(err) != failure.RunFailed {
		t.Errorf("a failed build: %v", err)
	}
}
