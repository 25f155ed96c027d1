package podwait

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/podrun"
	"kiln/internal/steplog"
)

// Interval is how often a waiting pod is to be looked at.
const Interval = 3 * time.Second

// Events lists the events about an object; none where they cannot be read.
type Events interface {
	Events(ctx context.Context, kind, name string) []corev1.Event
}

// Wait explains a pod that does not start: a line in the step's log when the reason
// changes, and an error when it is hopeless. It is not safe for concurrent use.
type Wait struct {
	// Kind and Name are of the object that events are about until the pod is seen:
	// a Pod, or the Job that makes it.
	Kind, Name string
	// Image is the class of a pod whose image cannot be pulled.
	Image failure.Reason
	// OwnUsers says that the pod has a user namespace of its own.
	OwnUsers bool

	log    *steplog.Log
	events Events
	said   string
	began  time.Time
	reason failure.Reason // of what it waits for
}

// Begin begins the wait, told in log: of is what the exported fields of it say.
func Begin(log *steplog.Log, events Events, of Wait) *Wait {
	of.log, of.events, of.began, of.reason = log, events, time.Now(), failure.Unschedulable
	return &of
}

// ErrNoUsers says that the node of a pod cannot make its user namespace.
var ErrNoUsers = errors.New("the node cannot make the pod's user namespace")

// Look asks why pod waits. A nil pod has not been seen.
func (w *Wait) Look(ctx context.Context, pod *corev1.Pod) error {
	if pod == nil {
		pod = &corev1.Pod{}
	}
	kind, name := w.Kind, w.Name
	if pod.Name != "" {
		kind, name = "Pod", pod.Name
	}
	events := w.events.Events(ctx, kind, name)
	if err := w.lookUsers(events); err != nil {
		return err
	}
	reason := podrun.Explain(pod, events)
	if final, hopeless := podrun.Hopeless(pod, events); hopeless {
		return failure.New(podrun.Pending(pod, events, w.Image), "the pod %s cannot start: %s", name, steplog.OneLine(final))
	}
	w.reason = podrun.Pending(pod, events, w.Image)
	if reason != "" && reason != w.said {
		w.said = reason
		w.log.Line("kiln: waiting: %s", steplog.OneLine(reason))
	}
	w.log.Beat(w.doing)
	return nil
}

// lookUsers is the error of a pod that cannot start for its user namespace.
func (w *Wait) lookUsers(events []corev1.Event) error {
	if !w.OwnUsers {
		return nil
	}
	why := podrun.UserNamespaceRefused(events)
	if why == "" {
		return nil
	}
	return failure.New(failure.NotStarted, "%w: %s; an operator can set KILN_BUILD_USERNS=off", ErrNoUsers, steplog.OneLine(why))
}

// doing says how long the wait has lasted and what for.
func (w *Wait) doing() string {
	return fmt.Sprintf("waiting for the pod %s, %s: %s", w.Name, steplog.Elapsed(w.began), orUnknown(steplog.OneLine(w.said)))
}

// Late is the error of a pod, called what, that did not start within the operator's
// limit.
func (w *Wait) Late(what string, limit time.Duration) error {
	return failure.New(w.reason, "%s did not start within %s (KILN_PENDING_TIMEOUT): %s", what, limit, orUnknown(w.said))
}

// orUnknown stands in for a reason that nobody gave.
func orUnknown(reason string) string {
	if reason == "" {
		return "the cluster gives no reason"
	}
	return reason
}

// Started reports whether container of pod runs or has run.
func Started(pod *corev1.Pod, container string) bool {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == container {
			return status.State.Running != nil || status.State.Terminated != nil
		}
	}
	return false
}

// Lost is the error of the watch of a pod, called what, that has ended: whatever a pod
// that went away did, nobody knows how it ended.
func Lost(what string, err error) error {
	if errors.Is(err, podrun.ErrGone) {
		return failure.New(failure.NodeLost, "the %s was deleted while it ran: its node may be gone, or somebody removed it", what)
	}
	return fmt.Errorf("watch the %s: %w", what, err)
}
