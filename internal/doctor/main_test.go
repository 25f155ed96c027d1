package doctor

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"kiln/internal/scaleset"
)

// overlaid returns the runner pod of an overlay, as the cluster has it.
func overlaid(t *testing.T, mode string) *corev1.Pod {
	t.Helper()
	text, err := scaleset.Values(scaleset.Settings{Mode: mode, Image: "registry.example.com/kiln:v1", RegistrySecret: "kiln-registry"})
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Template corev1.PodTemplateSpec `json:"template"`
	}
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: values.Template.ObjectMeta, Spec: values.Template.Spec}
	pod.Name, pod.Namespace = "runner", "runners"
	pod.Labels["actions.github.com/scale-set-name"] = "my-set"
	pod.Labels["app.kubernetes.io/version"] = "0.14.2"
	if mode == scaleset.Kubernetes { // what the scale set's chart and admission add
		runner := inPod(pod, containerRunner)
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "work", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}})
		runner.VolumeMounts = append(runner.VolumeMounts, corev1.VolumeMount{Name: "work", MountPath: "/home/runner/_work"})
		runner.Env = append(runner.Env, corev1.EnvVar{Name: "ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER", Value: "true"})
		for _, name := range []string{containerRunner, containerKiln} {
			c := inPod(pod, name)
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "kube-api-access-x", MountPath: tokenDir, ReadOnly: true})
		}
	}
	return pod
}

// inPod returns a container of the pod itself.
func inPod(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	panic("no container " + name)
}

// wantFinding fails the test unless one finding has the status and the texts.
func wantFinding(t *testing.T, findings []Finding, status Status, seen, mend string) {
	t.Helper()
	for _, f := range findings {
		if f.Status == status && strings.Contains(f.Seen, seen) && strings.Contains(f.Mend, mend) {
			return
		}
	}
	t.Errorf("no finding %s %q %q among %+v", status, seen, mend, findings)
}
