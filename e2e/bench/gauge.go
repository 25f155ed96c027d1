package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
)

// kilnUser is the user of kiln's image: it may see how much of its pages others share.
const kilnUser = 65532

// proportional is the memory of the daemon's processes, with what they share divided
// among those that have it (Pss, proc_pid_smaps(5)), in bytes. It is asked for in a
// container that is added to the runner pod, once.
func (b *bench) proportional(ctx context.Context, image string) (int64, error) {
	const name = "gauge"
	pods := b.Kube.CoreV1().Pods(b.namespace)
	pod, err := pods.Get(ctx, b.runner.Pod, metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: name, Image: image, Command: []string{"/usr/local/bin/standin", "proportional", "kilnd", "kiln-sidecar"},
		SecurityContext: &corev1.SecurityContext{
			RunAsUser: new(int64(kilnUser)), AllowPrivilegeEscalation: new(false),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}})
	if _, err := pods.UpdateEphemeralContainers(ctx, pod.Name, pod, metav1.UpdateOptions{}); err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	err = b.Await(ctx, b.namespace, pod.Name, func(pod *corev1.Pod) (bool, error) {
		for _, s := range pod.Status.EphemeralContainerStatuses {
			if s.Name == name && s.State.Terminated != nil {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	out, err := pods.GetLogs(pod.Name, &corev1.PodLogOptions{Container: name}).DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	return bytes, nil
}

// startPlain starts a runner pod without kiln, with a volume of a claim or with an
// empty directory as its work folder, once, and removes it.
func (b *bench) startPlain(ctx context.Context, name string, images harness.Images, claim bool) (podStart, error) {
	began := time.Now()
	_, err := b.StartRunner(ctx, b.namespace, harness.PodOptions{
		Name: name, Images: images, Adjust: func(pod *corev1.Pod) { withoutKiln(pod, claim) },
	})
	if err != nil {
		return podStart{}, err
	}
	start, err := b.started(ctx, began, name)
	if err != nil {
		return podStart{}, err
	}
	return start, b.Kube.CoreV1().Pods(b.namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
}

// withoutKiln leaves of a runner pod what a runner without kiln has.
func withoutKiln(pod *corev1.Pod, claim bool) {
	const work = "work"
	pod.Spec.InitContainers = nil
	pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name != work })
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name != work })
	}
	if !claim {
		pod.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	}
}
