//go:build e2e

package e2e_test

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// TestScheduling has a second node that takes every pod which may go there,
// and looks where kiln's pods go and what is on them.
func TestScheduling(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "scheduling", nil)
	ghost := f.ghostNode(t)
	free := f.freePod(t, ghost)
	if free.Spec.NodeName != ghost.Name {
		t.Fatalf("a free pod went to node %q, want %s: the test would show nothing", free.Spec.NodeName, ghost.Name)
	}
	class := f.priorityClass(t)
	t.Run("runners", func(t *testing.T) {
		t.Run("same node", func(t *testing.T) {
			t.Parallel()
			f.scheduleSame(t, ghost, class)
		})
		t.Run("anywhere", func(t *testing.T) {
			t.Parallel()
			f.scheduleAnywhere(t, ghost)
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

// scheduleSame runs an action with templates, in a runner that tolerates the
// ghost's taint and has a pull secret: what it makes stays on its node.
func (f *fixture) scheduleSame(t *testing.T, ghost *corev1.Node, class string) {
	const marker, secret = "same-node", "pull-secret-of-the-runner"
	o := harness.PodOptions{Name: "same"}
	named := strings.NewReplacer("CLASS", class)
	f.giveTemplates(t, &o, named.Replace(buildTemplate), named.Replace(hookTemplate))
	toGhost := tolerationOf(ghost)
	templates := o.Adjust
	o.Adjust = both(both(templates, f.pinned), func(pod *corev1.Pod) {
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, toGhost)
		pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: secret}}
	})
	g := f.another(t, "same", func(other *harness.PodOptions) { other.DaemonEnv, other.Adjust = o.DaemonEnv, o.Adjust })
	ready, err := g.Step(t.Context(), readyStep(marker, "echo ran"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, []*harness.Result{ready})
	sighting, found := f.lastOf("job", marker)
	if !found {
		t.Fatal("no action pod was seen")
	}
	action := sighting.Pod
	runnerPod := f.pod(t, "same")
	if action.Spec.NodeName != runnerPod.Spec.NodeName {
		t.Errorf("the action ran on node %q, want the runner's, %q", action.Spec.NodeName, runnerPod.Spec.NodeName)
	}
	if diff := cmp.Diff(onNode(runnerPod.Spec.NodeName), action.Spec.Affinity); diff != "" {
		t.Errorf("affinity of the action (-want +got):\n%s", diff)
	}
	wantInherited(t, action, toGhost, secret)
	wantTemplate(t, action, "job", templateValues{"example.com/action", class, "15m", "96Mi"})
	f.scheduleBuild(t, g, ghost, class, secret)
}

// scheduleBuild looks at a build pod of the runner and then cancels the step:
// the pod may have gone to the ghost.
func (f *fixture) scheduleBuild(t *testing.T, g *fixture, ghost *corev1.Node, class, secret string) {
	const marker, looked = "build-template", "/home/runner/_work/looked"
	step, files := plainBuild("FROM busybox\nENTRYPOINT [\"true\"]\n")(marker)
	step.Interrupt = runner.Cancel("")
	step.Interrupt.Path = looked
	ended := make(chan error, 1)
	go func() {
		_, err := g.Step(t.Context(), step, files, nil)
		ended <- err
	}()
	build := f.awaitPod(t, "kaniko", marker)
	if _, err := g.Run(t.Context(), "sh", "-c", "echo yes >"+looked); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wantInherited(t, build, tolerationOf(ghost), secret)
	wantTemplate(t, build, "kaniko", templateValues{"example.com/build", class, "20m", "1Gi"})
	if build.Spec.Affinity != nil {
		t.Errorf("affinity of the build pod = %v, want none", build.Spec.Affinity)
	}
	if !slices.ContainsFunc(build.Spec.Tolerations, func(o corev1.Toleration) bool { return o.Key == "example.com/build" }) {
		t.Errorf("tolerations of the build pod = %v, want the template's too", build.Spec.Tolerations)
	}
}

// scheduleAnywhere looks at the pod of an action that is bound to no node.
// Whether it runs is the volume's affair.
func (f *fixture) scheduleAnywhere(t *testing.T, ghost *corev1.Node) {
	const marker = "any-node"
	g := f.another(t, "anywhere", func(o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{"KILN_PLACEMENT": "anywhere"}
		o.Adjust = f.pinned
	})
	result, err := g.Step(t.Context(), readyStep(marker, "echo ran"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, []*harness.Result{result})
	sighting, found := f.lastOf("job", marker)
	if !found {
		t.Fatal("no action pod was seen")
	}
	if pod := sighting.Pod; pod.Spec.Affinity != nil {
		t.Errorf("affinity of the action = %v, want none", pod.Spec.Affinity)
	}
	if slices.Contains(sighting.Pod.Spec.Tolerations, tolerationOf(ghost)) {
		t.Error("the action tolerates what its runner does not")
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

// ghostTaint keeps everybody's pods from a ghost but those of this test.
const ghostTaint = "kiln-e2e/ghost"

func tolerationOf(ghost *corev1.Node) corev1.Toleration {
	return corev1.Toleration{Key: ghostTaint, Operator: corev1.TolerationOpEqual, Value: ghost.Name, Effect: corev1.TaintEffectNoSchedule}
}

// ghostNode makes a node that is ready, large and empty, and has no kubelet.
func (f *fixture) ghostNode(t *testing.T) *corev1.Node {
	t.Helper()
	arch := f.node(t, f.pod(t, "runner").Spec.NodeName).Labels[corev1.LabelArchStable]
	name := "kiln-e2e-ghost-" + strings.ToLower(rand.Text()[:6])
	nodes := f.Kube.CoreV1().Nodes()
	node, err := nodes.Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: arch,
		}},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: ghostTaint, Value: name, Effect: corev1.TaintEffectNoSchedule}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nodes.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"), corev1.ResourcePods: resource.MustParse("110"),
	}
	node.Status = corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Ghost",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}}
	if _, err = nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return f.awaitSchedulable(t, name)
}

// awaitSchedulable waits until the cluster has taken a new node's readiness in.
// Nothing renews it: a minute later the cluster gives the node up.
func (f *fixture) awaitSchedulable(t *testing.T, name string) *corev1.Node {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if node := f.node(t, name); len(node.Spec.Taints) == 1 {
			return node
		}
	}
	t.Fatalf("node %s has other taints than its own", name)
	return nil
}

// freePod makes a pod that may go to the ghost and prefers nothing, and
// returns it once it is bound to a node.
func (f *fixture) freePod(t *testing.T, ghost *corev1.Node) *corev1.Pod {
	t.Helper()
	const name = "free"
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kiln-harness": "true"}},
		Spec: corev1.PodSpec{
			Tolerations: []corev1.Toleration{tolerationOf(ghost)},
			// No node has the image, so none is preferred for it.
			Containers: []corev1.Container{{Name: "free", Image: "registry.invalid/none"}},
		},
	}
	pods := f.Kube.CoreV1().Pods(f.Namespace)
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// No kubelet would ever end it.
		_ = pods.Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := f.Await(ctx, f.Namespace, name, func(p *corev1.Pod) (bool, error) {
		pod = p
		return p.Spec.NodeName != "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pod
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

// pinned puts a runner pod beside the fixture's.
func (f *fixture) pinned(pod *corev1.Pod) {
	runner, err := f.Kube.CoreV1().Pods(f.Namespace).Get(context.Background(), "runner", metav1.GetOptions{})
	if err == nil {
		pod.Spec.Affinity = onNode(runner.Spec.NodeName)
	}
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

func (f *fixture) node(t *testing.T, name string) *corev1.Node {
	t.Helper()
	node, err := f.Kube.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// awaitPod waits for a pod with that container whose spec has the marker.
func (f *fixture) awaitPod(t *testing.T, container, marker string) *corev1.Pod {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if s, found := f.lastOf(container, marker); found {
			return s.Pod
		}
	}
	t.Fatalf("no pod with container %s and %q was seen", container, marker)
	return nil
}
