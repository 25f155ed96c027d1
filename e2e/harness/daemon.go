package harness

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KillDaemon sends SIGKILL to the daemon's worker in a runner pod that was
// started with ShareProcesses, and returns when it is done; its supervisor
// starts another. It may be called once per pod.
func (r *Runner) KillDaemon(ctx context.Context) error {
	const name = "kill-daemon"
	pods := r.cluster.Kube.CoreV1().Pods(r.Namespace)
	pod, err := pods.Get(ctx, r.Pod, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("kill daemon: %w", err)
	}
	pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: name, Image: r.cluster.Registry + "/library/busybox:latest",
			Command: []string{"sh", "-c", "for p in $(pidof kilnd); do if grep -q worker /proc/$p/cmdline; then exec kill -9 $p; fi; done; exit 1"},
			// The daemon has a user of its own.
			SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64(0))},
		},
	})
	if _, err := pods.UpdateEphemeralContainers(ctx, r.Pod, pod, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("kill daemon: %w", err)
	}
	err = r.cluster.Await(ctx, r.Namespace, r.Pod, func(pod *corev1.Pod) (bool, error) {
		for _, s := range pod.Status.EphemeralContainerStatuses {
			if s.Name != name || s.State.Terminated == nil {
				continue
			}
			if code := s.State.Terminated.ExitCode; code != 0 {
				return false, fmt.Errorf("kill ended with exit code %d", code)
			}
			return true, nil
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("kill daemon: %w", err)
	}
	return nil
}

// DaemonLog is the log of the daemon that runs now.
func (r *Runner) DaemonLog(ctx context.Context) (string, error) {
	log, err := r.cluster.Kube.CoreV1().Pods(r.Namespace).
		GetLogs(r.Pod, &corev1.PodLogOptions{Container: DaemonContainer}).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("read log of the daemon: %w", err)
	}
	return string(log), nil
}

// Restarts says how often the kubelet has restarted the daemon's container.
func (r *Runner) Restarts(ctx context.Context) (int, error) {
	pod, err := r.cluster.Kube.CoreV1().Pods(r.Namespace).Get(ctx, r.Pod, metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("read restarts of the daemon: %w", err)
	}
	for _, s := range pod.Status.InitContainerStatuses {
		if s.Name == DaemonContainer {
			return int(s.RestartCount), nil
		}
	}
	return 0, fmt.Errorf("pod %s has no container %s", r.Pod, DaemonContainer)
}
