package suite

import (
	"context"
	"path"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AddVolume adds a volume that every node could mount, as far as the scheduler knows, and
// returns its claim in the namespace: that of the cluster's own volumes is bound to their
// node. Its files are in a directory of the nodes below dir.
func (s Stage) AddVolume(t *testing.T, namespace, dir string) string {
	t.Helper()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	volumes := s.Kube.CoreV1().PersistentVolumes()
	_, err := volumes.Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{
				Path: path.Join(dir, namespace), Type: new(corev1.HostPathDirectoryOrCreate),
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

// UseVolume gives the runner pod the claim for its work folder, which its user may write
// to.
func (s Stage) UseVolume(pod *corev1.Pod, claim string) {
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.Name == "work" {
			v.VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}
		}
	}
	pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{
		Name: "open", Image: s.Busybox(), Command: []string{"chmod", "777", "/share"},
		VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/share"}},
	})
}

// ClearWork empties the work folder, which nobody removes from the node.
func (f *Fixture) ClearWork(t *testing.T) {
	t.Helper()
	if _, err := f.Run(t.Context(), "find", WorkFolder, "-mindepth", "1", "-delete"); err != nil {
		t.Error(err)
	}
}
