package spool

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How often directories are looked at without an event: often where events
// cannot be had, rarely to make up for lost ones.
const (
	pollInterval = 100 * time.Millisecond
	lossInterval = time.Second
)

// Watcher wakes its owner when directories may have changed. Events are
// hints, the directories are the truth: after every wake the owner reads them
// anew. It is for one goroutine.
type Watcher struct {
	// C receives a value when something may have changed. Values that nobody
	// waited for are merged into one.
	C <-chan struct{}
	// Polling is set when the kernel gave no inotify instance or watch (128
	// instances for each user and node is a common limit), and C ticks
	// instead.
	Polling bool

	notify *fsnotify.Watcher
	poll   chan struct{}
}

// Watch watches dirs until ctx ends. It never fails: without inotify it
// polls.
func Watch(ctx context.Context, dirs ...string) *Watcher {
	return watch(ctx, lossInterval, dirs...)
}

// watch is Watch with a slow tick of its own.
func watch(ctx context.Context, loss time.Duration, dirs ...string) *Watcher {
	wake := make(chan struct{}, 1)
	watcher := &Watcher{C: wake, poll: make(chan struct{}, 1)}
	notify, err := fsnotify.NewWatcher()
	if err == nil {
		watcher.notify = notify
	} else {
		watcher.degrade()
	}
	for _, dir := range dirs {
		watcher.Add(dir)
	}
	go watcher.run(ctx, wake, loss)
	return watcher
}

// Add watches one more directory and reports whether it could, or need not
// because the watcher polls. A directory that is not there (yet) is left to
// the slow tick; where the kernel gives no more watches, polling begins.
func (w *Watcher) Add(dir string) bool {
	if w.Polling {
		return true
	}
	err := w.notify.Add(dir)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.ENOMEM) {
		w.degrade()
	}
	return err == nil
}

// degrade makes the watcher poll from now on.
func (w *Watcher) degrade() {
	if !w.Polling {
		w.Polling = true
		w.poll <- struct{}{}
	}
}

// run turns events and ticks into wakes.
func (w *Watcher) run(ctx context.Context, wake chan<- struct{}, loss time.Duration) {
	ticker := time.NewTicker(loss)
	defer ticker.Stop()
	var events <-chan fsnotify.Event
	var errs <-chan error
	if w.notify != nil {
		defer w.notify.Close()
		events, errs = w.notify.Events, w.notify.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
		case <-errs: // an overflow is one more reason to look
		case <-ticker.C:
		case <-w.poll:
			ticker.Reset(pollInterval)
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
