package suite

import (
	"path"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
)

// AuthRegistry is an adjustment for [New]: images go to the registry that wants basic auth,
// with the credentials of the Secret, or with none. It skips the test where the cluster has
// no such registry.
func AuthRegistry(t *testing.T, secret string) func(Stage, *harness.PodOptions) {
	return func(s Stage, o *harness.PodOptions) {
		if s.AuthRegistry == "" {
			t.Skip("KILN_E2E_AUTH_REGISTRY is not set")
		}
		o.RegistryHost, o.PullSecret = s.AuthRegistry+"/"+path.Base(o.RegistryHost), secret
	}
}

// Both adjusts a pod twice.
func Both(a, b func(*corev1.Pod)) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { a(pod); b(pod) }
}

// OnNode keeps a pod to a node.
func OnNode(name string) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{
			Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{name},
		}}}},
	}}}
}

// Before adds an init container that comes before the others of a pod.
func Before(pod *corev1.Pod, c corev1.Container) {
	pod.Spec.InitContainers = append([]corev1.Container{c}, pod.Spec.InitContainers...)
}

// GiveTemplates has the options mount pod templates in the daemon's container and name them
// in its settings. An empty one is left out.
func (f *Fixture) GiveTemplates(t *testing.T, o *harness.PodOptions, build, hook string) {
	t.Helper()
	const volume, dir = "templates", "/etc/kiln-templates"
	files := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: o.Name + "-" + volume},
		Data:       map[string]string{"build.yaml": build, "hook.yaml": hook},
	}
	if _, err := f.Kube.CoreV1().ConfigMaps(f.Namespace).Create(t.Context(), files, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	o.DaemonEnv = map[string]string{}
	if build != "" {
		o.DaemonEnv["KILN_BUILD_TEMPLATE"] = dir + "/build.yaml"
	}
	if hook != "" {
		o.DaemonEnv["ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE"] = dir + "/hook.yaml"
	}
	o.Adjust = func(pod *corev1.Pod) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: files.Name}},
		}})
		for i := range pod.Spec.InitContainers {
			if c := &pod.Spec.InitContainers[i]; c.Name == harness.DaemonContainer {
				c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: dir, ReadOnly: true})
			}
		}
	}
}
