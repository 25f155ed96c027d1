package request

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// runnerPod is a runner pod as the sealed overlay makes it.
func runnerPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "set-runner-abcde", UID: "u-1"},
		Spec: corev1.PodSpec{
			NodeName:         "node-1",
			Tolerations:      []corev1.Toleration{{Key: "ci"}},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			InitContainers:   []corev1.Container{{Name: "kiln", Image: "registry.example.com/kiln:1", ImagePullPolicy: corev1.PullAlways}},
			Containers: []corev1.Container{{Name: "runner", VolumeMounts: []corev1.VolumeMount{
				{Name: "kiln-bin", MountPath: "/opt/kiln"},
				{Name: "work", MountPath: "/home/runner/_work"},
			}}},
			Volumes: []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}},
		},
	}
}

func TestSelfOf(t *testing.T) {
	got, err := selfOf(runnerPod())
	if err != nil {
		t.Fatal(err)
	}
	want := Self{
		Name: "set-runner-abcde", UID: "u-1", NodeName: "node-1",
		Image: "registry.example.com/kiln:1", PullPolicy: corev1.PullAlways,
		PullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
		Tolerations: []corev1.Toleration{{Key: "ci"}},
		Claim:       "set-runner-abcde-work", WorkMount: "/home/runner/_work",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("self (-want +got):\n%s", diff)
	}
}

func TestSelfOfRefusesWhatCannotWork(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"no sidecar":   {func(p *corev1.Pod) { p.Spec.InitContainers = nil }, `no container "kiln"`},
		"no mount":     {func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts = nil }, `mounts no volume "work"`},
		"an empty dir": {func(p *corev1.Pod) { p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{} }, "not a persistent volume claim"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := runnerPod()
			tc.change(pod)
			if _, err := selfOf(pod); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestSelfOfNamedClaim(t *testing.T) {
	pod := runnerPod()
	pod.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "shared"}}
	got, err := selfOf(pod)
	if err != nil || got.Claim != "shared" {
		t.Errorf("claim = %q, %v", got.Claim, err)
	}
}
