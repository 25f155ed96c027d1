//go:build e2e

package e2e_test

import (
	"context"
	"path"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// elsewhere is what the runner pods tolerate and others do not.
const elsewhere = "kiln-e2e/elsewhere"

// TestPlacement has a second node, without a kubelet, that alone has room for
// the action: the action does not go where the work volume is not, unless the
// operator says that the volume can be mounted everywhere.
func TestPlacement(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, placement string
		away            bool
	}{
		{"same node", "", false},
		{"anywhere", "anywhere", true},
	} {
		// One after the other: what tolerates one added node tolerates the other.
		t.Run(tt.name, func(t *testing.T) {
			f := suite.New(t, "place", func(s suite.Stage, o *harness.PodOptions) {
				o.DaemonEnv = map[string]string{"KILN_PLACEMENT": tt.placement, "KILN_PENDING_TIMEOUT": "15s"}
				o.HookTemplate = "spec: {containers: [{name: $job, resources: {requests: {cpu: 500}}}]}"
				claim := s.AddVolume(t, path.Base(o.RegistryHost), "/tmp")
				o.Adjust = func(pod *corev1.Pod) {
					s.UseVolume(pod, claim)
					pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Key: elsewhere, Operator: corev1.TolerationOpExists})
				}
			})
			defer f.ClearWork(t)
			node := addNode(t, f)
			wantFreePodAway(t, f, node)
			result := f.Play(t, sample.Shell(f.Busybox(), "exit 0"), nil)
			outcome.Error(t, result, "KILN_PENDING_TIMEOUT")
			got := false
			for _, pod := range f.Seen.With("job") {
				got = got || pod.Spec.NodeName == node
				if n := len(pod.Spec.Tolerations); n == 0 {
					t.Errorf("action pod %s has not the runner pod's toleration", pod.Name)
				}
			}
			if got != tt.away {
				t.Errorf("the action went to the other node: %v, want %v:\n%s", got, tt.away, outcome.Tail(result.Log))
			}
		})
	}
}

// addNode adds a node that has much room and no kubelet. What is bound to it at
// the end is removed with it.
func addNode(t *testing.T, f *suite.Fixture) string {
	t.Helper()
	name := f.Namespace
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1000"), corev1.ResourceMemory: resource.MustParse("1Ti"), corev1.ResourcePods: resource.MustParse("100"),
	}
	nodes := f.Kube.CoreV1().Nodes()
	node, err := nodes.Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux", corev1.LabelHostname: name,
		}},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: elsewhere, Effect: corev1.TaintEffectNoSchedule}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeNode(t, f, name) })
	node.Status = corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}}
	node.ResourceVersion = "" // controllers change the node meanwhile
	if _, err := nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

func removeNode(t *testing.T, f *suite.Fixture, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := f.Kube.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	// Nobody on that node will say that a pod has ended.
	err := f.Kube.CoreV1().Pods(f.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))},
		metav1.ListOptions{FieldSelector: "spec.nodeName=" + name})
	if err != nil {
		t.Error(err)
	}
}

// wantFreePodAway fails the test unless a pod of the action's size is bound to
// the node: nothing but kiln keeps the action from it.
func wantFreePodAway(t *testing.T, f *suite.Fixture, node string) {
	t.Helper()
	size := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("400")}
	_, err := f.Kube.CoreV1().Pods(f.Namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "free", Labels: map[string]string{"kiln-harness": "true"}},
		Spec: corev1.PodSpec{
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "free", Image: f.Busybox(), Resources: corev1.ResourceRequirements{Requests: size},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = f.Await(t.Context(), f.Namespace, "free", func(pod *corev1.Pod) (bool, error) { return pod.Spec.NodeName == node, nil })
	if err != nil {
		t.Fatal(err)
	}
}
