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
			f := newFixture(t, "place", func(s stage, o *harness.PodOptions) {
				o.DaemonEnv = map[string]string{"KILN_PLACEMENT": tt.placement, "KILN_PENDING_TIMEOUT": "15s"}
				o.HookTemplate = "spec: {containers: [{name: $job, resources: {requests: {cpu: 500}}}]}"
				claim := s.addVolume(t, path.Base(o.RegistryHost))
				o.Adjust = func(pod *corev1.Pod) { s.useVolume(pod, claim) }
			})
			defer f.clearWork(t)
			node := f.addNode(t)
			f.wantFreePodAway(t, node)
			result := f.step(t, shell(f.Registry+"/library/busybox:latest", "exit 0"))
			wantError(t, result, "KILN_PENDING_TIMEOUT")
			got := false
			for _, pod := range f.seen.With("job") {
				got = got || pod.Spec.NodeName == node
				if n := len(pod.Spec.Tolerations); n == 0 {
					t.Errorf("action pod %s has not the runner pod's toleration", pod.Name)
				}
			}
			if got != tt.away {
				t.Errorf("the action went to the other node: %v, want %v:\n%s", got, tt.away, tail(result.Log))
			}
		})
	}
}

// addVolume adds a volume that every node could mount, as far as the scheduler
// knows, and returns its claim in the namespace: that of the cluster's own
// volumes is bound to their node.
func (s stage) addVolume(t *testing.T, namespace string) string {
	t.Helper()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	volumes := s.Kube.CoreV1().PersistentVolumes()
	_, err := volumes.Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{
				Path: "/tmp/" + namespace, Type: new(corev1.HostPathDirectoryOrCreate),
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := volumes.Delete(context.Background(), namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	_, err = s.Kube.CoreV1().PersistentVolumeClaims(namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "everywhere"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, VolumeName: namespace, StorageClassName: new(""),
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return "everywhere"
}

// useVolume gives the runner pod the claim for its work folder, which its user
// may write to, and lets it and its like run on any node.
func (s stage) useVolume(pod *corev1.Pod, claim string) {
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.Name == "work" {
			v.VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}
		}
	}
	pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{
		Name: "open", Image: s.Registry + "/library/busybox:latest", Command: []string{"chmod", "777", "/share"},
		VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/share"}},
	})
}

// clearWork empties the work folder, which nobody removes from the node.
func (f *fixture) clearWork(t *testing.T) {
	if _, err := f.Run(t.Context(), "find", workFolder, "-mindepth", "1", "-delete"); err != nil {
		t.Error(err)
	}
}

// addNode adds a node that has much room and no kubelet. What is bound to it at
// the end is removed with it.
func (f *fixture) addNode(t *testing.T) string {
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
	t.Cleanup(func() { f.removeNode(t, name) })
	node.Status = corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}}
	node.ResourceVersion = "" // controllers change the node meanwhile
	if _, err := nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

func (f *fixture) removeNode(t *testing.T, name string) {
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
func (f *fixture) wantFreePodAway(t *testing.T, node string) {
	t.Helper()
	size := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("400")}
	_, err := f.Kube.CoreV1().Pods(f.Namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "free", Labels: map[string]string{"kiln-harness": "true"}},
		Spec: corev1.PodSpec{
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "free", Image: f.Registry + "/library/busybox:latest", Resources: corev1.ResourceRequirements{Requests: size},
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
