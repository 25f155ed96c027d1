package podrun

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hopelessReason is a waiting reason of the kubelet that time does not mend.
type hopelessReason struct {
	// reason as in state.waiting.reason.
	reason string
	// text must be part of the message in any letter case; "" is any message.
	text string
	// after is how long since the kubelet took the pod: its caches may lag
	// behind objects created just before.
	after time.Duration
}

// hopelessReasons lists what fails at once. Reasons come from kubernetes
// pkg/kubelet/images/types.go and pkg/kubelet/kuberuntime/kuberuntime_container.go,
// texts from containerd (core/remotes/docker/resolver.go, errdefs) and the
// registry errors of the OCI distribution specification. Missing rights are not
// listed: a pull secret may arrive or be renewed.
func hopelessReasons() []hopelessReason {
	const lag = 10 * time.Second
	return []hopelessReason{
		{reason: "InvalidImageName"},
		{reason: "ErrImageNeverPull"},
		{reason: "ErrImagePull", text: "not found", after: lag},
		{reason: "ErrImagePull", text: "manifest unknown", after: lag},
		{reason: "ErrImagePull", text: "name unknown", after: lag},
		{reason: "ErrImagePull", text: "no match for platform in manifest"},
		{reason: "ErrImagePull", text: "server gave HTTP response to HTTPS client"},
		{reason: "CreateContainerConfigError", text: "not found", after: lag},
		{reason: "CreateContainerConfigError", text: "couldn't find key", after: lag},
		{reason: "CreateContainerConfigError", text: "runAsNonRoot", after: lag},
		{reason: "CreateContainerConfigError", text: "subPath", after: lag},
		{reason: "CreateContainerError", text: "no command specified", after: lag},
	}
}

// Hopeless reports whether a waiting pod will never run, and why, as one line.
// It is cautious: what might still mend, or is younger than the kubelet's caches
// may be old, is left to the caller's time limit.
//
// While a Job has no pod, pod is empty and events are the Job's: a pod that
// Pod Security refuses never comes.
func Hopeless(pod *corev1.Pod, events []corev1.Event) (reason string, hopeless bool) {
	if pod.Name == "" {
		return refusedByPodSecurity(events)
	}
	return hopelessAt(pod, time.Now())
}

// refusedByPodSecurity returns the refusal of a Job's pod, if Pod Security is
// the reason.
func refusedByPodSecurity(events []corev1.Event) (reason string, refused bool) {
	for i := range events {
		if events[i].Reason == "FailedCreate" && strings.Contains(events[i].Message, podSecurityRefused) {
			return explainEvents(events[i : i+1]), true
		}
	}
	return "", false
}

// hopelessAt is Hopeless at a given time.
func hopelessAt(pod *corev1.Pod, now time.Time) (reason string, hopeless bool) {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.State.Waiting != nil && neverMends(status.State.Waiting, age(pod, now)) {
			return explainWaiting(status), true
		}
	}
	return "", false
}

func neverMends(waiting *corev1.ContainerStateWaiting, age time.Duration) bool {
	reason := waiting.Reason
	if reason == "ImagePullBackOff" {
		// The pause between two pulls; its message repeats the error.
		reason = "ErrImagePull"
	}
	message := strings.ToLower(waiting.Message)
	return slices.ContainsFunc(hopelessReasons(), func(h hopelessReason) bool {
		return h.reason == reason && age >= h.after && strings.Contains(message, strings.ToLower(h.text))
	})
}

// age is the time since the kubelet took the pod, 0 if it has not.
func age(pod *corev1.Pod, now time.Time) time.Duration {
	if pod.Status.StartTime == nil {
		return 0
	}
	return now.Sub(pod.Status.StartTime.Time)
}

// eventTime is when an event was last seen, whichever field holds it.
func eventTime(e *corev1.Event) metav1.Time {
	latest := e.LastTimestamp
	for _, t := range []metav1.Time{e.FirstTimestamp, {Time: e.EventTime.Time}} {
		if t.After(latest.Time) {
			latest = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(latest.Time) {
		latest = metav1.Time{Time: e.Series.LastObservedTime.Time}
	}
	return latest
}
