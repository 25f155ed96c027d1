package spool

import (
	"context"
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
	// Polling is set when the kernel gave no inotify instance (128 for each
	// user and node is a common limit), and C ticks instead.
	Polling bool

	notify *fsnotify.Watcher
}

// Watch watches dirs until ctx ends. It never fails: without inotify it
// polls.
func Watch(ctx context.Context, dirs ...string) *Watcher {
	wake := make(chan struct{}, 1)
	watcher := &Watcher{C: wake}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		watcher.Polling = true
	}
	watcher.notify = notify
	for _, dir := range dirs {
		watcher.Add(dir)
	}
	interval := lossInterval
	if watcher.Polling {
		interval = pollInterval
	}
	go watcher.run(ctx, wake, interval)
	return watcher
}

// Add watches one more directory. A directory that cannot be watched is left
// to the slow tick.
func (w *Watcher) Add(dir string) bool {
	if w.notify == nil {
		return true
	}
	return w.notify.Add(dir) == nil
}

// run turns events and ticks into wakes.
func (w *Watcher) run(ctx context.Context, wake chan<- struct{}, interval time.Duration) {
	ticker := time.NewTicker(interval)
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
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
