package podlog

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// phase is what is known of a container.
type phase struct {
	State
	// err: nothing more will be known, because the pod is gone or may not be
	// watched.
	err error
}

func (p phase) same(q phase) bool {
	return p.Ran == q.Ran && p.Over == q.Over && (p.err == nil) == (q.err == nil)
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
func watchLife(ctx context.Context, source Source) *life {
	l := &life{changed: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		err := source.Watch(ctx, func(now State) bool {
			l.set(phase{State: now})
			return now.Over
		})
		if err != nil {
			l.fail(err)
		}
	}()
	return l
}

// set takes a new phase. A container that ran has a log, whatever becomes of it.
func (l *life) set(now phase) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now.Ran = now.Ran || l.latest.Ran
	if !l.latest.Begun.IsZero() {
		now.Begun = l.latest.Begun
	}
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
	return now.Over || now.err != nil
}

// begun is when the container first started, zero where nobody knows.
func (l *life) begun() time.Time {
	now, _ := l.get()
	return now.Begun
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
