package podwait

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/podrun"
)

// Feed is a watch as channels that a select can wait for.
type Feed struct {
	// Pods has every state of the pod, in order.
	Pods <-chan *corev1.Pod
	// Done has the outcome of the watch.
	Done <-chan error
}

// Watch runs watch until ctx ends.
func Watch(ctx context.Context, watch func(context.Context, podrun.OnChange) error) Feed {
	pods, done := make(chan *corev1.Pod), make(chan error, 1)
	go func() {
		done <- watch(ctx, func(pod *corev1.Pod) (bool, error) {
			select {
			case pods <- pod:
				return false, nil
			case <-ctx.Done():
				return true, ctx.Err()
			}
		})
	}()
	return Feed{Pods: pods, Done: done}
}
