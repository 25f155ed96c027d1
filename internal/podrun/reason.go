package podrun

import (
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kiln/internal/failure"
)

// Cause is the class of what [Failed] or [Lost] says of a pod: the cluster
// ended it, not what ran in it.
func Cause(pod *corev1.Pod) failure.Reason {
	status := pod.Status
	if status.Reason == "Evicted" && overItsLimit(status.Message) {
		return failure.DiskFull
	}
	if condition := podCondition(pod, corev1.DisruptionTarget); condition != nil && condition.Status == corev1.ConditionTrue {
		// Both delete pods of nodes that do not answer or are gone.
		if condition.Reason == "DeletionByTaintManager" || condition.Reason == "DeletionByPodGC" {
			return failure.NodeLost
		}
		return failure.Evicted
	}
	switch {
	case status.Reason == "DeadlineExceeded":
		return failure.Deadline
	case status.Reason == "NodeLost", status.Phase != corev1.PodFailed:
		return failure.NodeLost
	}
	return failure.Evicted
}

// overItsLimit tells an eviction that the pod caused, and would cause again,
// from one for the node's sake. The phrases are those of kubernetes
// pkg/kubelet/eviction/eviction_manager.go.
func overItsLimit(message string) bool {
	return slices.ContainsFunc([]string{
		"exceeded its local ephemeral storage limit",
		"local storage usage exceeds the total limit of containers",
		"Usage of EmptyDir volume",
	}, func(phrase string) bool { return strings.Contains(message, phrase) })
}

// Pending is the class of what [Explain] says of a pod that does not start; pod
// and events are those of [Explain]. image is what it means that the node cannot
// pull an image.
func Pending(pod *corev1.Pod, events []corev1.Event, image failure.Reason) failure.Reason {
	if pod == nil || pod.Name == "" {
		if slices.ContainsFunc(events, func(e corev1.Event) bool { return e.Reason == "FailedCreate" }) {
			return failure.AdmissionRefused
		}
		return failure.Unschedulable
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		waiting := status.State.Waiting
		if waiting == nil {
			continue
		}
		if waitingWords(waiting.Reason) != "" {
			return image
		}
		if never, found := neverMends(waiting, math.MaxInt64); found && never.fault != "" {
			return never.fault
		}
	}
	switch {
	case pulling(events):
		return image
	case pod.Spec.NodeName != "":
		return failure.NotStarted
	}
	return failure.Unschedulable
}

// pulling reports whether the pull of an image was begun and has not ended.
func pulling(events []corev1.Event) bool {
	var latest *corev1.Event
	for i := range events {
		e := &events[i]
		if e.Reason != "Pulling" && e.Reason != "Pulled" {
			continue
		}
		if latest == nil || !eventTime(e).Time.Before(eventTime(latest).Time) {
			latest = e
		}
	}
	return latest != nil && latest.Reason == "Pulling"
}

// answered is the class of a request that the API server did not carry out.
// What it refuses, it refuses again; what it does not answer, or answers with a
// failure of its own, may go well the next time. A webhook that cannot be asked
// is a failure of the server by its code alone.
func answered(err error) failure.Reason {
	switch {
	case apierrors.IsUnauthorized(err):
		return failure.TokenRefused
	case strings.Contains(err.Error(), "failed calling webhook"):
		return failure.AdmissionRefused
	case Refused(err) && !apierrors.IsTooManyRequests(err):
		return failure.AdmissionRefused
	}
	return failure.ClusterUnreachable
}
