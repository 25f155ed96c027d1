package suite

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/e2e/harness"
)

// BuildPods returns the UIDs of the build pods that were seen, oldest first. One name can
// belong to several pods, one after the other.
func (f *Fixture) BuildPods() []types.UID {
	var uids []types.UID
	known := map[types.UID]bool{}
	for _, s := range f.Seen.Sightings() {
		if harness.HasContainer(s.Pod, "kaniko") && !known[s.Pod.UID] {
			known[s.Pod.UID] = true
			uids = append(uids, s.Pod.UID)
		}
	}
	return uids
}

// PodNow is a pod of the namespace as the API has it.
func (f *Fixture) PodNow(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod, err := f.Kube.CoreV1().Pods(f.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// WantHarmlessBuildPods looks at every build pod that was seen: whatever a RUN step does,
// the kaniko container has nothing to give away.
func (f *Fixture) WantHarmlessBuildPods(t *testing.T) {
	t.Helper()
	pods := f.Seen.With("kaniko")
	if len(pods) == 0 {
		t.Fatal("no build pod was seen")
	}
	for _, pod := range pods {
		if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
			t.Errorf("build pod %s mounts a service account token", pod.Name)
		}
		wantHarmless(t, pod)
		WantUnprivileged(t, pod)
	}
}

// wantHarmless looks at the kaniko container of a build pod.
func wantHarmless(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	secret := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		secret[v.Name] = v.Secret != nil || v.Projected != nil || v.HostPath != nil || v.PersistentVolumeClaim != nil
	}
	kaniko := harness.Container(pod, "kaniko")
	for _, m := range kaniko.VolumeMounts {
		if !m.ReadOnly || m.MountPath != "/kaniko/kiln" {
			t.Errorf("kaniko in %s may write to volume %s at %s", pod.Name, m.Name, m.MountPath)
		}
		if secret[m.Name] {
			t.Errorf("kaniko in %s mounts volume %s", pod.Name, m.Name)
		}
	}
	if len(kaniko.EnvFrom) > 0 {
		t.Errorf("kaniko in %s has envFrom %v", pod.Name, kaniko.EnvFrom)
	}
	for _, e := range kaniko.Env {
		if e.ValueFrom != nil {
			t.Errorf("kaniko in %s has %s from %v", pod.Name, e.Name, e.ValueFrom)
		}
	}
}

// WantUnprivileged fails the test if a container of the pod is privileged.
func WantUnprivileged(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	for _, c := range pod.Spec.Containers {
		if sc := c.SecurityContext; sc != nil && sc.Privileged != nil && *sc.Privileged {
			t.Errorf("container %s of %s is privileged", c.Name, pod.Name)
		}
	}
}
