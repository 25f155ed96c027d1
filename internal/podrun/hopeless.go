package podrun

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
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
	// words say it to a person; empty leaves it to [waitingWords].
	words string
	// fault is whose it is; empty leaves it to [Pending].
	fault failure.Reason
	// secret says that a pull secret which is not there yet may mend it.
	secret bool
}

// hopelessReasons lists what fails at once. Reasons come from kubernetes
// pkg/kubelet/images/types.go and pkg/kubelet/kuberuntime/kuberuntime_container.go,
// texts from containerd (core/remotes/docker/resolver.go, errdefs) and the
// registry errors of the OCI distribution specification. Missing rights end the wait
// where the kubelet has tried three times, as often as hosted runners do: at once, after
// 10 s and after 30 s. That some pull secret of the pod does not exist is another thing:
// it may arrive.
func hopelessReasons() []hopelessReason {
	const lag, thirdPull = 10 * time.Second, 40 * time.Second
	reasons := []hopelessReason{
		// What the runtime finds in the image when it makes a container of it.
		{reason: "CreateContainerError", text: "no command specified", words: noCommand, fault: failure.ActionFailed},
		{reason: "CreateContainerError", text: "no users found", words: noUser, fault: failure.ActionFailed},
		{reason: "CreateContainerError", text: "no matching entries in passwd file", words: noUser, fault: failure.ActionFailed},
		{reason: "CreateContainerError", text: "no groups found", words: noGroup, fault: failure.ActionFailed},
		{reason: "CreateContainerError", text: "no matching entries in group file", words: noGroup, fault: failure.ActionFailed},
		{reason: "CreateContainerError", text: "uids and gids must be in range", words: badUser, fault: failure.ActionFailed},
		{reason: "RunContainerError", text: "argument list too long", fault: failure.ActionFailed},
		{reason: "InvalidImageName"},
		{reason: "ErrImageNeverPull"},
		{reason: "ErrImagePull", text: "not found", after: lag},
		{reason: "ErrImagePull", text: "manifest unknown", after: lag},
		{reason: "ErrImagePull", text: "name unknown", after: lag},
		{reason: "ErrImagePull", text: "no match for platform in manifest"},
		{reason: "ErrImagePull", text: "server gave HTTP response to HTTPS client"},
		// What the kubelet finds in the pod: a template's or an admission's fault.
		{reason: "CreateContainerConfigError", text: "not found", after: lag},
		{reason: "CreateContainerConfigError", text: "couldn't find key", after: lag},
		{reason: "CreateContainerConfigError", text: "runAsNonRoot", fault: failure.Misconfigured},
		{reason: "CreateContainerConfigError", text: "run as root", fault: failure.Misconfigured},
		{reason: "CreateContainerConfigError", text: "non-numeric user", fault: failure.Misconfigured},
		{reason: "CreateContainerConfigError", text: "subPath", after: lag, fault: failure.Misconfigured},
	}
	for _, text := range refusals() {
		reasons = append(reasons, hopelessReason{reason: "ErrImagePull", text: text, after: thirdPull, secret: true})
	}
	return reasons
}

// refusals are what says that a registry lets the node pull no such image. Registries that
// tell nobody what they do not have, as Docker Hub, say it of an image that does not exist.
// Beside containerd's and the registries' texts those are of CRI-O (containers/image,
// docker/docker_client.go).
func refusals() []string {
	return []string{
		"401 Unauthorized", "403 Forbidden", "pull access denied", "insufficient_scope", "authentication required",
		"access to the resource is denied", "invalid status code from registry 401", "invalid status code from registry 403",
		"invalid username/password",
	}
}

// What the runtime says of an image, in the words of `docker run`
// (moby/sys/user, moby daemon/create.go).
const (
	noCommand = "no command specified: the image has neither ENTRYPOINT nor CMD, and the step names none; give the Dockerfile an ENTRYPOINT, or action.yml an entrypoint or args"
	noUser    = "unable to find the image's USER: no matching entries in passwd file; name a user that the image has, or a number"
	noGroup   = "unable to find the group of the image's USER: no matching entries in group file; name a group that the image has, or a number"
	badUser   = "the number of the image's USER is not in the range 0-2147483647"
)

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
	return hopelessAt(pod, missingPullSecret(events) != "", time.Now())
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

// hopelessAt is Hopeless at a given time, for a pod of which a pull secret may be to come.
func hopelessAt(pod *corev1.Pod, secretToCome bool, now time.Time) (reason string, hopeless bool) {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.State.Waiting == nil {
			continue
		}
		if never, found := neverMends(status.State.Waiting, age(pod, now)); found && !(never.secret && secretToCome) {
			return cmp.Or(never.words, explainWaiting(status)), true
		}
	}
	return "", false
}

// neverMends returns what is known of a container's waiting, if it lasts.
func neverMends(waiting *corev1.ContainerStateWaiting, age time.Duration) (hopelessReason, bool) {
	reason := waiting.Reason
	if reason == "ImagePullBackOff" {
		// The pause between two pulls; its message repeats the error.
		reason = "ErrImagePull"
	}
	message := strings.ToLower(waiting.Message)
	for _, h := range hopelessReasons() {
		if h.reason == reason && age >= h.after && strings.Contains(message, strings.ToLower(h.text)) {
			return h, true
		}
	}
	return hopelessReason{}, false
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
