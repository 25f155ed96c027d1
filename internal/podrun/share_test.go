package podrun

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Callers that watch one pod at a time cost the API server one watch, see its end
// each, and leave no watch behind.
func TestWatchIsShared(t *testing.T) {
	api, client := newAPIServer(t, aPod("1"))
	var lists, watches atomic.Int32
	api.onList = func(http.ResponseWriter, *http.Request) bool { lists.Add(1); return false }
	api.onWatch = func(http.ResponseWriter, *http.Request) bool { watches.Add(1); return false }
	const callers = 3
	var began, ended sync.WaitGroup
	outcomes := make([]error, callers)
	last := make([]corev1.PodPhase, callers)
	began.Add(callers)
	for i := range callers {
		first := sync.OnceFunc(began.Done)
		ended.Go(func() {
			outcomes[i] = client.Watch(until(t), "p", func(pod *corev1.Pod) (bool, error) {
				last[i] = pod.Status.Phase
				first()
				return false, nil
			})
		})
	}
	began.Wait()
	api.change(exits(0))
	api.remove()
	ended.Wait()
	for i, err := range outcomes {
		if !errors.Is(err, ErrGone) || last[i] != corev1.PodSucceeded {
			t.Errorf("caller %d: %v in phase %s, want %v in phase %s", i, err, last[i], ErrGone, corev1.PodSucceeded)
		}
	}
	if lists.Load() != 1 || watches.Load() != 1 {
		t.Errorf("%d callers cost %d lists and %d watches, want one of each", callers, lists.Load(), watches.Load())
	}
	if left := len(client.watches.of); left != 0 {
		t.Errorf("%d watches are left", left)
	}
}

// A caller that leaves takes the watch of the others along only if it was the
// last, whoever began it.
func TestWatchOutlivesItsBeginner(t *testing.T) {
	api, client := newAPIServer(t, aPod("1"))
	first, leave := context.WithCancel(until(t))
	began, joined := make(chan struct{}), make(chan struct{})
	left := make(chan error, 1)
	go func() {
		tell := sync.OnceFunc(func() { close(began) })
		left <- client.Watch(first, "p", func(*corev1.Pod) (bool, error) { tell(); return false, nil })
	}()
	<-began
	stayed := make(chan error, 1)
	go func() {
		tell := sync.OnceFunc(func() { close(joined) })
		stayed <- client.Watch(until(t), "p", func(pod *corev1.Pod) (bool, error) {
			tell()
			return pod.Status.Phase == corev1.PodSucceeded, nil
		})
	}()
	<-joined
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left: %v, want %v", err, context.Canceled)
	}
	api.change(exits(0))
	if err := <-stayed; err != nil {
		t.Errorf("the one that stayed: %v", err)
	}
}
