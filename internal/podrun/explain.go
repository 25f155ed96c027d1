package podrun

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Explain says in one line what a pod that is not running waits for, or "" when
// there is nothing to say: it runs, or it only just began. While a Job has no pod,
// pod is nil or empty and events are the Job's. events may be in any order and
// may be none. The sentence starts in lower case and holds text of the
// scheduler, the kubelet and the registry, without line breaks.
func Explain(pod *corev1.Pod, events []corev1.Event) string {
	if pod == nil {
		return explainEvents(events)
	}
	if pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "" {
		return ""
	}
	if text := explainScheduling(pod); text != "" {
		return text
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if text := explainWaiting(status); text != "" {
			return sentence("", text+missingPullSecret(events))
		}
	}
	return explainEvents(events)
}

// explainScheduling reads the scheduler's verdict. The newer of several is in
// the condition; the event of the same text adds nothing.
func explainScheduling(pod *corev1.Pod) string {
	condition := podCondition(pod, corev1.PodScheduled)
	if condition == nil || condition.Status != corev1.ConditionFalse {
		return ""
	}
	if condition.Reason == corev1.PodReasonSchedulingGated {
		return sentence("the pod is held back by a scheduling gate", condition.Message)
	}
	return sentence("no node can take the pod", condition.Message)
}

// missingPullSecret returns what the kubelet says of a pull secret that does not
// exist (pkg/kubelet/kubelet_pods.go): the refusal of a registry does not tell.
func missingPullSecret(events []corev1.Event) string {
	for i := range events {
		if events[i].Reason == "FailedToRetrieveImagePullSecret" {
			return " (" + events[i].Message + ")"
		}
	}
	return ""
}

// waitingWords are the kubelet's reasons in plain words. %s is the image.
// Sources: kubernetes pkg/kubelet/images/types.go and
// pkg/kubelet/kuberuntime/kuberuntime_container.go. A reason that is not in the
// table is shown as it is.
func waitingWords(reason string) string {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable":
		return "the node cannot pull %s"
	case "ErrImageNeverPull":
		return "%s is not on the node and may not be pulled"
	case "InvalidImageName":
		return "%s is not a valid image name"
	case "ImageInspectError":
		return "the node cannot read %s"
	case "SignatureValidationFailed":
		return "the node does not trust the signature of %s"
	}
	return ""
}

// explainWaiting explains one container's waiting state; "" for the states that
// every pod passes through.
func explainWaiting(status corev1.ContainerStatus) string {
	waiting := status.State.Waiting
	if waiting == nil || waiting.Reason == "" || waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing" {
		return ""
	}
	if words := waitingWords(waiting.Reason); words != "" {
		return sentence(fmt.Sprintf(words, "image "+status.Image), waiting.Message)
	}
	return sentence("container "+status.Name+" cannot start ("+waiting.Reason+")", waiting.Message)
}

// eventWords says what an event means for a pod that is to start; "" is an event
// that explains no wait. The reasons are those of the scheduler, of the attach
// and detach controller, of the kubelet (pkg/kubelet/events/event.go) and, for
// a pod that quota, Pod Security or a webhook refused, of the Job controller.
func eventWords(reason string) string {
	switch reason {
	case "FailedScheduling":
		return "no node can take the pod"
	case "FailedMount", "FailedAttachVolume", "FailedMapVolume":
		return "a volume is not ready"
	case "FailedCreatePodSandBox", "FailedPodSandBoxStatus", "NetworkNotReady":
		return "the node cannot set up the pod"
	case "Pulling":
		return "the node pulls the image"
	case "FailedCreate":
		return "the cluster refuses the pod"
	}
	return ""
}

// explainEvents explains by the newest event that means something, unless a
// newer one says that the trouble is over.
func explainEvents(events []corev1.Event) string {
	newest := slices.Clone(events)
	slices.SortStableFunc(newest, func(a, b corev1.Event) int {
		return eventTime(&b).Compare(eventTime(&a).Time)
	})
	for i := range newest {
		switch newest[i].Reason {
		case "Pulled", "Created", "Started", "SuccessfulCreate":
			return ""
		}
		if text := eventWords(newest[i].Reason); text != "" {
			return withHint(sentence(text, newest[i].Message), newest[i], events)
		}
	}
	return ""
}

// withHint adds to the text of one of the events what to change: where a pod was
// refused, or its image is pulled without a secret that it names.
func withHint(text string, event corev1.Event, events []corev1.Event) string {
	switch event.Reason {
	case "Pulling":
		return sentence("", text+missingPullSecret(events))
	case "FailedCreate":
		if hint := admissionHint(event.Message, event.InvolvedObject.Namespace); hint != "" {
			return text + "; " + hint
		}
	}
	return text
}
