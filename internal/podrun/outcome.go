package podrun

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Exit codes of a command that could not be started, as a shell and
// `docker run` give them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// Terminated returns how a container ended, and false while it has not. For a
// container whose process could not be started, which the runtime reports as
// exit code 128, the exit code is the one of `docker run`: 127 if the program
// does not exist, 126 if it may not be executed. The result is the caller's.
func Terminated(pod *corev1.Pod, container string) (*corev1.ContainerStateTerminated, bool) {
	status := containerStatus(pod, container)
	if status == nil || status.State.Terminated == nil {
		return nil, false
	}
	end := status.State.Terminated.DeepCopy()
	if neverStarted(end) {
		end.ExitCode = startExitCode(end)
	}
	return end, true
}

// neverStarted reports whether the runtime failed to start the process. The
// reasons are set by containerd (StartError, internal/cri/server/container_start.go)
// and by docker-based runtimes (ContainerCannotRun).
func neverStarted(end *corev1.ContainerStateTerminated) bool {
	return end.Reason == "StartError" || end.Reason == "ContainerCannotRun"
}

// startExitCode follows `docker run` (docker/cli cli/command/container/run.go,
// toStatusError) in reading runc's message.
func startExitCode(end *corev1.ContainerStateTerminated) int32 {
	switch {
	case strings.Contains(end.Message, "executable file not found"),
		strings.Contains(end.Message, "no such file or directory"):
		return exitNotFound
	case strings.Contains(end.Message, "permission denied"),
		strings.Contains(end.Message, "is a directory"):
		return exitNotExecutable
	}
	return end.ExitCode
}

// Failed returns why the pod as a whole failed (evicted, over its deadline,
// refused by the node, deleted by the cluster), as one line; false if it did not
// fail or if only its containers did. A pod can have failed while a container
// also has an exit code: then the pod's reason is the cause.
func Failed(pod *corev1.Pod) (reason string, failed bool) {
	if cause := disruption(pod); cause != "" {
		return cause, true
	}
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" {
		return sentence(pod.Status.Reason, pod.Status.Message), true
	}
	return "", false
}

// disruption returns why the cluster ended the pod, from the condition that
// precedes such a deletion
// (https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions).
func disruption(pod *corev1.Pod) string {
	condition := podCondition(pod, corev1.DisruptionTarget)
	if condition == nil || condition.Status != corev1.ConditionTrue {
		return ""
	}
	return sentence(condition.Reason, condition.Message)
}

// deletionLag is how long after its grace a deleted pod may still be there
// before its node counts as lost.
const deletionLag = 30 * time.Second

// Lost returns why nothing more will be heard of a container that has not ended,
// as one line: the pod is deleted, its grace is over, and the node does not
// confirm the end. That is so at once where the cluster itself gave up the pod,
// and after half a minute where somebody deleted it. It compares times of the API
// server with this machine's.
func Lost(pod *corev1.Pod, container string) (reason string, lost bool) {
	return lostAt(pod, container, time.Now())
}

// lostAt is Lost at a given time.
func lostAt(pod *corev1.Pod, container string, now time.Time) (reason string, lost bool) {
	if pod.DeletionTimestamp == nil || Over(pod, container) {
		return "", false
	}
	late := now.Sub(pod.DeletionTimestamp.Time) // the time of deletion includes the grace
	if cause := disruption(pod); cause != "" {
		return cause, late > 0
	}
	return fmt.Sprintf("the pod was deleted and its node %s does not answer", pod.Spec.NodeName), late > deletionLag
}

// Over reports whether the container has ended or can never run any more.
func Over(pod *corev1.Pod, container string) bool {
	if _, ended := Terminated(pod, container); ended {
		return true
	}
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

// Running reports whether the container runs now.
func Running(pod *corev1.Pod, container string) bool {
	status := containerStatus(pod, container)
	return status != nil && status.State.Running != nil
}

// ran reports whether the container's process was ever started, so that there
// is a log to read.
func ran(pod *corev1.Pod, container string) bool {
	status := containerStatus(pod, container)
	if status == nil {
		return false
	}
	if end := status.State.Terminated; end != nil {
		return end.ContainerID != "" && !neverStarted(end)
	}
	return status.State.Running != nil
}

// StartedAt is when the container's process was started, zero where it was not.
func StartedAt(pod *corev1.Pod, container string) time.Time {
	status := containerStatus(pod, container)
	switch {
	case status == nil:
	case status.State.Running != nil:
		return status.State.Running.StartedAt.Time
	case status.State.Terminated != nil:
		return status.State.Terminated.StartedAt.Time
	}
	return time.Time{}
}

func containerStatus(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range statuses {
			if statuses[i].Name == container {
				return &statuses[i]
			}
		}
	}
	return nil
}

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// messageMax bounds a message of the cluster in bytes.
const messageMax = 1024

// sentence joins a reason and its message in one line: messages come from the
// cluster and from registries, and a line break in them could start a workflow
// command.
func sentence(reason, message string) string {
	message = strings.ToValidUTF8(strings.Join(strings.Fields(message), " "), "?")
	if len(message) > messageMax {
		message = strings.ToValidUTF8(message[:messageMax], "") + " …"
	}
	switch {
	case message == "":
		return reason
	case reason == "":
		return message
	}
	return fmt.Sprintf("%s: %s", reason, message)
}
