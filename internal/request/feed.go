package request

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/podrun"
)

// explainInterval is how often a waiting pod is asked why.
const explainInterval = 3 * time.Second

// feed turns a watch into a channel of pod states that a select can wait for.
type feed struct {
	pods chan *corev1.Pod
	done chan error
}

// startFeed runs watch until ctx ends. Every state arrives, in order.
func startFeed(ctx context.Context, watch func(context.Context, podrun.OnChange) error) *feed {
	f := &feed{pods: make(chan *corev1.Pod), done: make(chan error, 1)}
	go func() {
		f.done <- watch(ctx, func(pod *corev1.Pod) (bool, error) {
			select {
			case f.pods <- pod:
				return false, nil
			case <-ctx.Done():
				return true, ctx.Err()
			}
		})
	}()
	return f
}

// waiting explains a pod that does not start: a line in the step's log when
// the reason changes, and an error when it is hopeless.
type waiting struct {
	step  *step
	kind  string // of the object that events are about
	name  string
	said  string
	began time.Time
	// image is the class of a pod whose image cannot be pulled, reason that of
	// what it waits for.
	image, reason failure.Reason
	users         bool // the pod has a user namespace of its own
}

// newWaiting returns the wait for the pod that events about the given object
// explain, from now on.
func newWaiting(s *step, kind, name string, image failure.Reason) waiting {
	return waiting{step: s, kind: kind, name: name, began: time.Now(), image: image, reason: failure.Unschedulable}
}

// look asks why pod waits. A nil pod has not been seen.
func (w *waiting) look(ctx context.Context, pod *corev1.Pod) error {
	if pod == nil {
		pod = &corev1.Pod{}
	}
	kind, name := w.kind, w.name
	if pod.Name != "" {
		kind, name = "Pod", pod.Name
	}
	events := w.step.handler.Pods.Events(ctx, kind, name)
	if err := w.lookUsers(events); err != nil {
		return err
	}
	reason := podrun.Explain(pod, events)
	if final, hopeless := podrun.Hopeless(pod, events); hopeless {
		return failure.New(podrun.Pending(pod, events, w.image), "the pod %s cannot start: %s", name, oneLine(final))
	}
	w.reason = podrun.Pending(pod, events, w.image)
	if reason != "" && reason != w.said {
		w.said = reason
		w.step.log.Line("kiln: waiting: %s", oneLine(reason))
	}
	w.step.log.Beat(w.doing)
	return nil
}

// doing says how long the wait has lasted and what for.
func (w *waiting) doing() string {
	return fmt.Sprintf("waiting for the pod %s, %s: %s", w.name, elapsed(w.began), orUnknown(oneLine(w.said)))
}

// started reports whether container of pod runs or has run.
func started(pod *corev1.Pod, container string) bool {
	state, ok := containerState(pod, container)
	return ok && (state.Running != nil || state.Terminated != nil)
}

// containerState returns the state of container of pod.
func containerState(pod *corev1.Pod, container string) (corev1.ContainerState, bool) {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == container {
			return status.State, true
		}
	}
	return corev1.ContainerState{}, false
}
