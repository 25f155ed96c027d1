package harness

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// Processes of the daemon's container, by their programs' command.
const (
	Supervisor = "run"
	Worker     = "worker"
)

// SignalDaemon sends a signal to a process of the daemon's container, in a
// runner pod that was started with ShareProcesses, and returns when it is sent.
// It may be called once per pod.
func (r *Runner) SignalDaemon(ctx context.Context, process, signal string) error {
	const name = "signal-daemon"
	// A command line ends each of its arguments with a zero.
	const send = `for p in $(pidof kilnd kiln-sidecar); do if tr '\0' ' ' </proc/$p/cmdline | grep -q "^[^ ]* $0 "; then exec kill -$1 $p; fi; done; exit 1`
	err := r.addEphemeral(ctx, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: name, Image: r.cluster.Registry + "/library/busybox:latest",
			Command: []string{"sh", "-c", send, process, signal},
			// The daemon has a user of its own.
			SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64(0))},
		},
	})
	if err != nil {
		return fmt.Errorf("signal daemon: %w", err)
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
		return fmt.Errorf("signal daemon: %w", err)
	}
	return nil
}

// addEphemeral adds a container to the pod, whose kubelet may write into it meanwhile.
func (r *Runner) addEphemeral(ctx context.Context, c corev1.EphemeralContainer) error {
	pods := r.cluster.Kube.CoreV1().Pods(r.Namespace)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		pod, err := pods.Get(ctx, r.Pod, metav1.GetOptions{})
		if err != nil {
			return err
		}
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, c)
		_, err = pods.UpdateEphemeralContainers(ctx, r.Pod, pod, metav1.UpdateOptions{})
		return err
	})
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

// DaemonStatus is the kubelet's word on the daemon's container.
func DaemonStatus(pod *corev1.Pod) (corev1.ContainerStatus, bool) {
	for _, s := range pod.Status.InitContainerStatuses {
		if s.Name == DaemonContainer {
			return s, true
		}
	}
	return corev1.ContainerStatus{}, false
}

// Restarts says how often the kubelet has restarted the daemon's container.
func (r *Runner) Restarts(ctx context.Context) (int, error) {
	pod, err := r.cluster.Kube.CoreV1().Pods(r.Namespace).Get(ctx, r.Pod, metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("read restarts of the daemon: %w", err)
	}
	s, ok := DaemonStatus(pod)
	if !ok {
		return 0, fmt.Errorf("pod %s has no container %s", r.Pod, DaemonContainer)
	}
	return int(s.RestartCount), nil
}

// KillWorkers adds a container to a runner pod that was started with ShareProcesses: it
// kills the daemon's worker every so many seconds and prints a line each time.
func KillWorkers(pod *corev1.Pod, busybox string, seconds int) {
	const kill = `while sleep $0; do for p in $(pidof kilnd); do
	  if tr '\0' ' ' </proc/$p/cmdline | grep -q "^[^ ]* ` + Worker + ` "; then kill -KILL $p && echo killed $p; fi
	done; done`
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
		Name: "chaos", Image: busybox, Command: []string{"sh", "-c", kill, strconv.Itoa(seconds)},
		SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64(0))},
	})
}
