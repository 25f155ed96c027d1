package podrun

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// watches are the watches of a client that are under way, by the pod's name. Who
// follows a build looks at its pod three times, for its phase and for the log of
// each container: each look of its own would have the API server send every state
// of the pod once more.
type watches struct {
	mu sync.Mutex
	of map[string]*sharedWatch
}

// sharedWatch is one watch of a pod, and what those who share it have to know.
type sharedWatch struct {
	cancel context.CancelFunc

	mu      sync.Mutex
	users   int
	latest  *corev1.Pod
	states  int // how many there were
	over    bool
	err     error         // the outcome, once it is over
	changed chan struct{} // closed at the next change
}

// share hands the states of a pod to onChange as watch does, which it runs only
// if no other caller has it running.
func (w *watches) share(ctx context.Context, pod string, watch func(context.Context, OnChange) error, onChange OnChange) error {
	shared := w.join(ctx, pod, watch)
	defer w.leave(shared)
	return shared.follow(ctx, onChange)
}

// join returns the watch of a pod, begun where there is none.
func (w *watches) join(ctx context.Context, pod string, watch func(context.Context, OnChange) error) *sharedWatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	if shared, ok := w.of[pod]; ok {
		shared.users++
		return shared
	}
	// It outlives the caller that began it, and ends with the last one.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	shared := &sharedWatch{cancel: cancel, users: 1, changed: make(chan struct{})}
	w.of[pod] = shared
	go func() {
		err := watch(ctx, shared.saw)
		w.forget(pod, shared)
		shared.end(err)
	}()
	return shared
}

// leave ends a watch that nobody shares any more.
func (w *watches) leave(shared *sharedWatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if shared.users--; shared.users > 0 {
		return
	}
	shared.cancel()
	for pod, other := range w.of {
		if other == shared {
			delete(w.of, pod)
		}
	}
}

// forget lets the next caller begin anew.
func (w *watches) forget(pod string, shared *sharedWatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[pod] == shared {
		delete(w.of, pod)
	}
}

// saw takes a new state. It never ends the watch: the callers do.
func (s *sharedWatch) saw(pod *corev1.Pod) (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = pod
	s.states++
	s.tell()
	return false, nil
}

// end takes the outcome.
func (s *sharedWatch) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.err = true, err
	s.tell()
}

// tell wakes everybody; s.mu is held.
func (s *sharedWatch) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// next returns the state after the first seen ones, nil where there is none yet.
// With over there will be none, and err is the outcome.
func (s *sharedWatch) next(seen int) (pod *corev1.Pod, states int, over bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states > seen {
		return s.latest, s.states, false, s.changed
	}
	return nil, seen, s.over, s.changed
}

// follow hands the states on until onChange is done, the watch is over or ctx
// ends.
func (s *sharedWatch) follow(ctx context.Context, onChange OnChange) error {
	for seen := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		pod, states, over, changed := s.next(seen)
		seen = states
		switch {
		case pod != nil:
			if done, err := onChange(pod); done || err != nil {
				return err
			}
		case over:
			return s.err
		default:
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}
