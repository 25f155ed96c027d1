package podrun

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// phase is what a follower has to know about a container.
type phase struct {
	// ran: its process was started at some time, so there is a log.
	ran bool
	// begun is when, as far as that is known.
	begun time.Time
	// over: it has ended or never will run.
	over bool
	// err: nothing more will be known, because the pod is gone or may not be
	// watched.
	err error
}

func (p phase) same(q phase) bool {
	return p.ran == q.ran && p.over == q.over && (p.err == nil) == (q.err == nil)
}

// life keeps the latest phase of one container. The watch behind it ends with
// the container.
type life struct {
	mu      sync.Mutex
	latest  phase
	changed chan struct{}
	// ended is closed when the watch has ended.
	ended chan struct{}
}

// watchLife starts watching; it ends with ctx at the latest.
func (c Client) watchLife(ctx context.Context, pod, container string) *life {
	l := &life{changed: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		err := c.Watch(ctx, pod, func(p *corev1.Pod) (bool, error) {
			now := phase{ran: ran(p, container), begun: startedAt(p, container), over: Over(p, container)}
			l.set(now)
			return now.over, nil
		})
		if err != nil {
			l.fail(err)
		}
	}()
	return l
}

func (l *life) set(now phase) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now.ran = now.ran || l.latest.ran
	if now.same(l.latest) {
		return
	}
	l.latest = now
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *life) fail(err error) {
	now, _ := l.get()
	now.err = err
	l.set(now)
}

// get returns the latest phase and a channel that the next change closes.
func (l *life) get() (phase, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest, l.changed
}

func (l *life) isOver() bool {
	now, _ := l.get()
	return now.over || now.err != nil
}

// started waits until the container has run, is over, or is lost.
func (l *life) started(ctx context.Context) (phase, error) {
	for {
		now, changed := l.get()
		if !now.same(phase{}) {
			return now, ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

// next waits for another phase than last, but no longer than the next pause; an
// ended ctx ends the wait.
func (l *life) next(ctx context.Context, last phase, pause *wait.Backoff) phase {
	ctx, cancel := context.WithTimeout(ctx, pause.Step())
	defer cancel()
	for {
		now, changed := l.get()
		if !now.same(last) {
			return now
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now
		}
	}
}
