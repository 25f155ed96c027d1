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
	"kiln/e2e/runner"
)

// TestScheduling looks at what is on the pods that kiln makes: what they inherit
// from the runner pod, and what the operator's templates add.
func TestScheduling(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "scheduling", nil)
	class := f.priorityClass(t)
	t.Run("runners", func(t *testing.T) {
		t.Run("inherited and templates", func(t *testing.T) {
			t.Parallel()
			f.scheduleWithTemplates(t, class)
		})
		t.Run("template of the runner container", func(t *testing.T) {
			t.Parallel()
			step := readyStep("misplaced", "true")
			step.HookEnv = map[string]string{"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE": "/etc/hook.yaml"}
			result, err := f.Step(t.Context(), step, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantSuccess(t, []*harness.Result{result})
			wantLog(t, result, "::warning::ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE is set on the runner container", "kiln container")
		})
	})
	f.wantNothingLeft(t)
}

// readyStep is a step of a ready image that runs a shell script. The spec of
// its pod has the marker.
func readyStep(marker, script string) runner.Step {
	return runner.Step{Repository: "acme/app", Image: "busybox", EntryPoint: "sh", Args: []string{"-c", script, marker}}
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
func (f *fixture) scheduleWithTemplates(t *testing.T, class string) {
	const marker, secret, own = "templates", "pull-secret-of-the-runner", "example.com/runner"
	toleration := corev1.Toleration{Key: own, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
	g := f.another(t, marker, func(o *harness.PodOptions) {
		named := strings.NewReplacer("CLASS", class)
		f.giveTemplates(t, o, named.Replace(buildTemplate), named.Replace(hookTemplate))
		o.Adjust = both(o.Adjust, func(pod *corev1.Pod) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, toleration)
			pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: secret}}
		})
	})
	step, files := plainBuild("FROM busybox\nENTRYPOINT [\"true\"]\n")("of-" + marker)
	result, err := g.Step(t.Context(), step, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, []*harness.Result{result})
	build, action := f.seenPod(t, "kaniko", "of-"+marker), f.seenPod(t, "job", "of-"+marker)
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
	node := f.pod(t, marker).Spec.NodeName
	if diff := cmp.Diff(onNode(node), action.Spec.Affinity); diff != "" || action.Spec.NodeName != node {
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
	got := container(pod, name).Resources
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
func (f *fixture) priorityClass(t *testing.T) string {
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

// onNode is the affinity to one node by its name.
func onNode(name string) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{name}}},
			}},
		},
	}}
}

func (f *fixture) pod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod, err := f.Kube.CoreV1().Pods(f.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// seenPod is the pod with that container whose spec has the marker.
func (f *fixture) seenPod(t *testing.T, container, marker string) *corev1.Pod {
	t.Helper()
	s, found := f.lastOf(container, marker)
	if !found {
		t.Fatalf("no pod with container %s and %q was seen", container, marker)
	}
	return s.Pod
}
