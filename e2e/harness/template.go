package harness

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	templateVolume = "hook-template"
	templateDir    = "/etc/kiln-hook-template"
	templateFile   = "template.yaml"
)

// templateName is the name of the ConfigMap with a runner pod's template.
func templateName(pod string) string { return pod + "-hook-template" }

// createTemplate creates the ConfigMap that the daemon of the pod reads.
func (c *Cluster) createTemplate(ctx context.Context, namespace string, o PodOptions) error {
	if o.HookTemplate == "" {
		return nil
	}
	_, err := c.Kube.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: templateName(o.Name), Labels: map[string]string{ownLabel: "true"}},
		Data:       map[string]string{templateFile: o.HookTemplate},
	}, metav1.CreateOptions{})
	if err := ifNew(err); err != nil {
		return fmt.Errorf("create hook template: %w", err)
	}
	return nil
}

// mountTemplate gives the daemon the template as an operator would: a file of
// its own container, named by the stock hook's variable.
func mountTemplate(spec *corev1.PodSpec, daemon *corev1.Container, o PodOptions) {
	if o.HookTemplate == "" {
		return
	}
	setEnv(daemon, map[string]string{"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE": templateDir + "/" + templateFile})
	daemon.VolumeMounts = append(daemon.VolumeMounts, corev1.VolumeMount{Name: templateVolume, MountPath: templateDir, ReadOnly: true})
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: templateVolume, VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: templateName(o.Name)}},
	}})
}
