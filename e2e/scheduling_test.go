//go:build e2e

package e2e_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// TestScheduling looks at what is on the pods that kiln makes: what they inherit
// from the runner pod, and what the operator's templates add.
func TestScheduling(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "scheduling", nil)
	class := priorityClass(t, f)
	t.Run("runners", func(t *testing.T) {
		t.Run("inherited and templates", func(t *testing.T) {
			t.Parallel()
			scheduleWithTemplates(t, f, class)
		})
		t.Run("template of the runner container", func(t *testing.T) {
			t.Parallel()
			step := sample.Ready("misplaced", "true")
			step.HookEnv = map[string]string{"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE": "/etc/hook.yaml"}
			result := f.Play(t, step, nil)
			outcome.Success(t, result)
			outcome.Log(t, result, "::warning::ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE is set on the runner container", "kiln container")
		})
	})
	f.WantNothingLeft(t)
}

// What the operator's templates ask for.
const (
	buildTemplate = `
metadata:
  annotations: {example.com/build: "yes"}
spec:
  priorityClassName: CLASS
  nodeSelector: {kubernetes.io/os: linux}
  tolerations: [{key: example.com/build, operator: Exists}]
  containers:
    - name: kaniko
      resources: {requests: {cpu: 20m}, limits: {memory: 1Gi}}
`
	hookTemplate = `
metadata:
  annotations: {example.com/action: "yes"}
spec:
  priorityClassName: CLASS
  nodeSelector: {kubernetes.io/os: linux}
  containers:
    - name: $job
      resources: {requests: {cpu: 15m}, limits: {memory: 96Mi}}
`
)

// scheduleWithTemplates runs an action with templates, in a runner pod that has
// a toleration and a pull secret of its own.
func scheduleWithTemplates(t *testing.T, f *suite.Fixture, class string) {
	const marker, secret, own = "templates", "pull-secret-of-the-runner", "example.com/runner"
	toleration := corev1.Toleration{Key: own, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
	g := f.Another(t, marker, func(o *harness.PodOptions) {
		named := strings.NewReplacer("CLASS", class)
		f.GiveTemplates(t, o, named.Replace(buildTemplate), named.Replace(hookTemplate))
		o.Adjust = suite.Both(o.Adjust, func(pod *corev1.Pod) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, toleration)
			pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: secret}}
		})
	})
	step, files := sample.Build("of-"+marker, "FROM busybox\nENTRYPOINT [\"true\"]\n")
	result := g.Play(t, step, files)
	outcome.Success(t, result)
	build, action := seenPod(t, f, "kaniko", "of-"+marker), seenPod(t, f, "job", "of-"+marker)
	for _, pod := range []*corev1.Pod{build, action} {
		wantInherited(t, pod, toleration, secret)
	}
	wantTemplate(t, build, "kaniko", templateValues{"example.com/build", class, "20m", "1Gi"})
	wantTemplate(t, action, "job", templateValues{"example.com/action", class, "15m", "96Mi"})
	if !slices.ContainsFunc(build.Spec.Tolerations, func(o corev1.Toleration) bool { return o.Key == "example.com/build" }) {
		t.Errorf("tolerations of the build pod = %v, want the template's too", build.Spec.Tolerations)
	}
	if build.Spec.Affinity != nil {
		t.Errorf("affinity of the build pod = %v, want none", build.Spec.Affinity)
	}
	node := f.PodNow(t, marker).Spec.NodeName
	if diff := cmp.Diff(suite.OnNode(node), action.Spec.Affinity); diff != "" || action.Spec.NodeName != node {
		t.Errorf("the action ran on node %q, want the runner's, %q; affinity (-want +got):\n%s", action.Spec.NodeName, node, diff)
	}
}

// templateValues are what a template asks for.
type templateValues struct{ annotation, class, cpu, memory string }

func wantTemplate(t *testing.T, pod *corev1.Pod, name string, want templateValues) {
	t.Helper()
	if pod.Annotations[want.annotation] != "yes" {
		t.Errorf("annotations of %s = %v, want %s", pod.Name, pod.Annotations, want.annotation)
	}
	if pod.Spec.PriorityClassName != want.class {
		t.Errorf("priority class of %s = %q, want %s", pod.Name, pod.Spec.PriorityClassName, want.class)
	}
	if pod.Spec.NodeSelector[corev1.LabelOSStable] != "linux" {
		t.Errorf("node selector of %s = %v", pod.Name, pod.Spec.NodeSelector)
	}
	got := harness.Container(pod, name).Resources
	if got.Requests.Cpu().String() != want.cpu || got.Limits.Memory().String() != want.memory {
		t.Errorf("resources of %s = %v, want cpu %s and memory up to %s", pod.Name, got, want.cpu, want.memory)
	}
}

func wantInherited(t *testing.T, pod *corev1.Pod, toleration corev1.Toleration, secret string) {
	t.Helper()
	if !slices.Contains(pod.Spec.Tolerations, toleration) {
		t.Errorf("tolerations of %s = %v, want the runner pod's %v too", pod.Name, pod.Spec.Tolerations, toleration)
	}
	if !slices.Contains(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret}) {
		t.Errorf("pull secrets of %s = %v, want the runner pod's %s too", pod.Name, pod.Spec.ImagePullSecrets, secret)
	}
}

// priorityClass makes a class of the default priority.
func priorityClass(t *testing.T, f *suite.Fixture) string {
	t.Helper()
	classes := f.Kube.SchedulingV1().PriorityClasses()
	class, err := classes.Create(t.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: f.Namespace},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := classes.Delete(context.Background(), class.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return class.Name
}

// seenPod is the pod with that container whose spec has the marker.
func seenPod(t *testing.T, f *suite.Fixture, container, marker string) *corev1.Pod {
	t.Helper()
	s, found := f.Seen.Last(container, marker)
	if !found {
		t.Fatalf("no pod with container %s and %q was seen", container, marker)
	}
	return s.Pod
}
