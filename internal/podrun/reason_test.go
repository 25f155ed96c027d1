package podrun

import (
	"context"
	"errors"
	"io"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kiln/internal/failure"
)

// The messages are those of the kubelet, the scheduler and the controllers.
func TestCause(t *testing.T) {
	ended := func(reason, message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, reason, message
		}
	}
	disrupted := func(reason string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason})
		}
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want failure.Reason
	}{
		"node pressure": {
			with(aPod("1"), ended("Evicted", "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9Gi. "), disrupted("TerminationByKubelet")),
			failure.Evicted,
		},
		"limit of the pod": {with(aPod("1"), ended("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 50Mi. ")), failure.DiskFull},
		"limit of the container": {
			with(aPod("1"), ended("Evicted", `Container kaniko exceeded its local ephemeral storage limit "50Mi". `), disrupted("TerminationByKubelet")),
			failure.DiskFull,
		},
		"limit of a volume":      {with(aPod("1"), ended("Evicted", `Usage of EmptyDir volume "x" exceeds the limit "1Mi". `)), failure.DiskFull},
		"preempted":              {with(aPod("1"), runs, disrupted("PreemptionByScheduler")), failure.Evicted},
		"drained":                {with(aPod("1"), runs, disrupted("EvictionByEvictionAPI")), failure.Evicted},
		"node does not answer":   {with(aPod("1"), runs, disrupted("DeletionByTaintManager")), failure.NodeLost},
		"node is gone":           {with(aPod("1"), ended("NodeLost", ""), disrupted("DeletionByPodGC")), failure.NodeLost},
		"node was shut down":     {with(aPod("1"), ended("Terminated", "Pod was terminated in response to imminent node shutdown.")), failure.Evicted},
		"refused by the node":    {with(aPod("1"), ended("OutOfcpu", "Node didn't have enough resource: cpu")), failure.Evicted},
		"over its deadline":      {with(aPod("1"), ended("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")), failure.Deadline},
		"deleted, and no answer": {with(aPod("1"), runs), failure.NodeLost},
	}
	for name, test := range tests {
		if got := Cause(test.pod); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// taken says that a node has the pod.
func taken(p *corev1.Pod) { p.Spec.NodeName = "n" }

func TestPending(t *testing.T) {
	tests := map[string]struct {
		pod    *corev1.Pod
		events []corev1.Event
		want   failure.Reason
	}{
		"a Job without a pod, refused": {&corev1.Pod{}, []corev1.Event{happened(1, "FailedCreate", "exceeded quota")}, failure.AdmissionRefused},
		"a Job without a pod":          {nil, nil, failure.Unschedulable},
		"no node":                      {with(aPod("1"), schedules(corev1.ConditionFalse, "Unschedulable", "0/1 nodes are available")), nil, failure.Unschedulable},
		"no image":                     {with(aPod("1"), waits("ImagePullBackOff", "not found")), nil, failure.KanikoImagePull},
		"a name that is none":          {with(aPod("1"), waits("InvalidImageName", "x")), nil, failure.KanikoImagePull},
		"a pull that takes long":       {with(aPod("1"), waits("ContainerCreating", "")), []corev1.Event{happened(2, "Pulling", "x"), happened(1, "Pulled", "y"), happened(3, "FailedToRetrieveImagePullSecret", "s")}, failure.KanikoImagePull},
		"pulled":                       {with(aPod("1"), waits("ContainerCreating", "")), []corev1.Event{happened(1, "Pulling", "x"), happened(2, "Pulled", "x")}, failure.Unschedulable},
		"no Secret":                    {with(aPod("1"), taken, waits("CreateContainerConfigError", `secret "s" not found`)), nil, failure.NotStarted},
		"no volume":                    {with(aPod("1"), taken, waits("ContainerCreating", "")), []corev1.Event{happened(2, "FailedMount", "x")}, failure.NotStarted},
		"nothing to run":               {with(aPod("1"), waits("CreateContainerError", "no command specified")), nil, failure.ActionFailed},
		"no such user":                 {with(aPod("1"), waits("CreateContainerError", "failed to generate spec: no users found")), nil, failure.ActionFailed},
		"must not be root":             {with(aPod("1"), waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")), nil, failure.Misconfigured},
		"runtime trouble":              {with(aPod("1"), taken, waits("CreateContainerError", "context deadline exceeded")), nil, failure.NotStarted},
	}
	for name, test := range tests {
		if got := Pending(test.pod, test.events, failure.KanikoImagePull); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// What the API server refuses is the same a second time, what it does not
// answer is not.
func TestRefusedReason(t *testing.T) {
	tests := map[string]struct {
		err  error
		want failure.Reason
	}{
		"nothing":      {nil, ""},
		"quota":        {apierrors.NewForbidden(podsResource, "p", errors.New("exceeded quota: q")), failure.AdmissionRefused},
		"Pod Security": {apierrors.NewForbidden(podsResource, "p", errors.New(`violates PodSecurity "restricted:latest"`)), failure.AdmissionRefused},
		"webhook":      {apierrors.NewBadRequest(`admission webhook "policy.example.com" denied the request: no`), failure.AdmissionRefused},
		"webhook away": {apierrors.NewInternalError(errors.New(`failed calling webhook "policy.example.com": context deadline exceeded`)), failure.AdmissionRefused},
		"invalid":      {apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), "p", nil), failure.AdmissionRefused},
		"token":        {apierrors.NewUnauthorized("Unauthorized"), failure.TokenRefused},
		"busy":         {apierrors.NewTooManyRequests("slow down", 1), failure.ClusterUnreachable},
		"server fails": {apierrors.NewInternalError(errors.New("etcdserver: leader changed")), failure.ClusterUnreachable},
		"no answer":    {io.ErrUnexpectedEOF, failure.ClusterUnreachable},
		"too late":     {context.DeadlineExceeded, failure.ClusterUnreachable},
		"cancelled":    {context.Canceled, failure.Cancelled},
	}
	client := Client{Namespace: "ns"}
	for name, test := range tests {
		err := client.refused(call{"create", "pods", "p"}, test.err)
		if got := failure.Of(err); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %s of %v, want %s", name, got, err, test.want)
		}
	}
	if got := failure.Of(client.refused(call{"get", "pods", "p"}, apierrors.NewNotFound(podsResource, "p"))); got != failure.NodeLost {
		t.Errorf("a pod that is gone: %s", got)
	}
}
