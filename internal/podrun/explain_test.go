package podrun

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waits lets the container wait for that reason.
func waits(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "job", Image: "reg/app@sha256:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}
	}
}

// schedules sets the scheduler's condition.
func schedules(status corev1.ConditionStatus, reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: status, Reason: reason, Message: message}}
	}
}

// happened is an event that many seconds after the others' zero.
func happened(second int, reason, message string) corev1.Event {
	return corev1.Event{
		InvolvedObject: corev1.ObjectReference{Namespace: "ns"},
		Reason:         reason, Message: message, LastTimestamp: metav1.Unix(int64(second), 0),
	}
}

func TestExplain(t *testing.T) {
	tests := map[string]struct {
		pod    *corev1.Pod
		events []corev1.Event
		want   string
	}{
		"fresh":   {pod: aPod("1")},
		"running": {pod: with(aPod("1"), runs), events: []corev1.Event{happened(1, "FailedMount", "x")}},
		"unschedulable": {
			pod:  with(aPod("1"), schedules(corev1.ConditionFalse, "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu.")),
			want: "no node can take the pod: 0/3 nodes are available: 3 Insufficient cpu.",
		},
		"gated": {
			pod:  with(aPod("1"), schedules(corev1.ConditionFalse, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")),
			want: "the pod is held back by a scheduling gate: Scheduling is blocked due to non-empty scheduling gates",
		},
		"cannot pull": {
			pod:  with(aPod("1"), waits("ErrImagePull", "rpc error: code = NotFound\ndesc = not found")),
			want: "the node cannot pull image reg/app@sha256:1: rpc error: code = NotFound desc = not found",
		},
		"back-off": {
			pod:  with(aPod("1"), waits("ImagePullBackOff", `Back-off pulling image "reg/app"`)),
			want: `the node cannot pull image reg/app@sha256:1: Back-off pulling image "reg/app"`,
		},
		"an unknown reason": {
			pod:  with(aPod("1"), waits("CreateContainerConfigError", `secret "s" not found`)),
			want: `container job cannot start (CreateContainerConfigError): secret "s" not found`,
		},
		"volume": {
			pod: with(aPod("1"), waits("ContainerCreating", "")),
			events: []corev1.Event{
				happened(2, "FailedMount", `MountVolume.SetUp failed for volume "work"`), happened(1, "Scheduled", "assigned"),
			},
			want: `a volume is not ready: MountVolume.SetUp failed for volume "work"`,
		},
		"a trouble that is over": {
			pod:    with(aPod("1"), waits("ContainerCreating", "")),
			events: []corev1.Event{happened(1, "FailedScheduling", "none"), happened(2, "Pulled", "pulled")},
		},
		"pulling": {
			pod:    with(aPod("1"), waits("ContainerCreating", "")),
			events: []corev1.Event{happened(3, "Pulling", `Pulling image "reg/app"`), happened(1, "FailedScheduling", "none")},
			want:   `the node pulls the image: Pulling image "reg/app"`,
		},
		"creating": {pod: with(aPod("1"), waits("ContainerCreating", ""))},
		"job refused": {
			events: []corev1.Event{happened(1, "FailedCreate", `Error creating: pods "j-" is forbidden: exceeded quota: q`)},
			want: `the cluster refuses the pod: Error creating: pods "j-" is forbidden: exceeded quota: q; ` +
				"raise the ResourceQuota of namespace ns or wait until other pods have ended",
		},
		"job refused, an empty pod": {
			pod:    &corev1.Pod{},
			events: []corev1.Event{happened(1, "FailedCreate", "violates PodSecurity")},
			want: "the cluster refuses the pod: violates PodSecurity; " +
				"label the namespace ns with pod-security.kubernetes.io/enforce=baseline, the level kiln's pods need",
		},
		"pulling without a secret": {
			pod:    with(aPod("1"), waits("ContainerCreating", "")),
			events: []corev1.Event{happened(1, "FailedToRetrieveImagePullSecret", "Unable to retrieve (s)"), happened(2, "Pulling", "Pulling image x")},
			want:   "the node pulls the image: Pulling image x (Unable to retrieve (s))",
		},
		"job refused by a webhook": {
			events: []corev1.Event{happened(1, "FailedCreate", `admission webhook "policy" denied the request`)},
			want:   `the cluster refuses the pod: admission webhook "policy" denied the request`,
		},
		"no pod, no events": {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Explain(test.pod, test.events); got != test.want {
				t.Errorf("Explain = %q, want %q", got, test.want)
			}
		})
	}
}

func TestHopeless(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	unauthorized := `failed to pull and unpack image "reg/app": failed to resolve reference "reg/app": unexpected status from HEAD request to https://reg/v2/app/manifests/1: 401 Unauthorized`
	notFound := `failed to pull and unpack image "reg/app": failed to resolve reference: reg/app: not found`
	tests := map[string]struct {
		reason, message string
		age             time.Duration
		want            bool
	}{
		"creating":                        {"ContainerCreating", "", time.Hour, false},
		"bad name":                        {"InvalidImageName", "couldn't parse image name", 0, true},
		"never pull":                      {"ErrImageNeverPull", "", 0, true},
		"image just pushed":               {"ErrImagePull", notFound, time.Second, false},
		"image missing":                   {"ErrImagePull", notFound, time.Minute, true},
		"image missing, back-off":         {"ImagePullBackOff", "Back-off pulling image: ErrImagePull: " + notFound, time.Minute, true},
		"registry away":                   {"ErrImagePull", "dial tcp: connection refused", time.Hour, false},
		"credentials, at first":           {"ErrImagePull", unauthorized, 30 * time.Second, false},
		"credentials":                     {"ErrImagePull", unauthorized, 40 * time.Second, true},
		"credentials, back-off":           {"ImagePullBackOff", "Back-off pulling image: ErrImagePull: " + unauthorized, time.Minute, true},
		"no such image, or none of yours": {"ErrImagePull", `failed to pull and unpack image "docker.io/a/b": failed to resolve reference: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`, time.Minute, true},
		"forbidden":                       {"ErrImagePull", "failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token: 403 Forbidden", time.Minute, true},
		"rate limit":                      {"ErrImagePull", "429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit", time.Hour, false},
		"wrong platform":                  {"ErrImagePull", "no match for platform in manifest: not found", 0, true},
		"secret not yet":                  {"CreateContainerConfigError", `secret "s" not found`, time.Second, false},
		"secret missing":                  {"CreateContainerConfigError", `secret "s" not found`, time.Minute, true},
		"nothing to run":                  {"CreateContainerError", "failed to generate spec: no command specified", 0, true},
		"no such user":                    {"CreateContainerError", `failed to generate container "c" spec: failed to generate spec: no users found`, 0, true},
		"no such user, CRI-O":             {"CreateContainerError", "setup user: unable to find user ghost: no matching entries in passwd file", 0, true},
		"no such group":                   {"CreateContainerError", "failed to generate spec: no groups found", 0, true},
		"must not be root":                {"CreateContainerConfigError", "container has runAsNonRoot and image will run as root (pod: ...)", 0, true},
		"a user by name":                  {"CreateContainerConfigError", "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root", 0, true},
		"runtime trouble":                 {"CreateContainerError", "context deadline exceeded", time.Hour, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := with(aPod("1"), waits(test.reason, test.message))
			pod.Status.StartTime = new(metav1.NewTime(now.Add(-test.age)))
			if reason, got := hopelessAt(pod, false, now); got != test.want || got != (reason != "") {
				t.Errorf("Hopeless = %q, %v, want %v", reason, got, test.want)
			}
		})
	}
	pod := with(aPod("1"), waits("ErrImagePull", unauthorized))
	pod.Status.StartTime = new(metav1.NewTime(now))
	if reason, got := Hopeless(pod, []corev1.Event{happened(1, "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (late)")}); got {
		t.Errorf("a pod whose pull secret may come is hopeless: %s", reason)
	}
	if _, got := Hopeless(pod, nil); !got {
		t.Error("a pod that may not pull its image waits on")
	}
	if _, got := Hopeless(aPod("1"), nil); got {
		t.Error("a pod that nobody took yet is hopeless")
	}
}
