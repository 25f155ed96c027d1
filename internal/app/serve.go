package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"kiln/internal/failure"
	"kiln/internal/spool"
)

// Intervals of the daemon.
const (
	livenessInterval = 100 * time.Millisecond // between two looks at a shim's lock
	sweepInterval    = 5 * time.Second
	draftAge         = 10 * time.Second // of a draft that nobody holds any more
	cancelledLog     = 8 * time.Second  // for the shim to print what a cancelled step still says
	slotNotice       = 3 * time.Second  // until the author is told of a full daemon
)

// Bounds on what a hostile exchange can make the daemon hold.
const (
	maxClaims = 100 // requests that wait or run
	// warnAgain is how long the same kind of trouble is worth no second line:
	// workflow code can make any number of them.
	warnAgain = time.Hour
)

// Reasons for which a step ends early, as its author reads them.
var (
	errCancelled = failure.New(failure.Cancelled, "the step was cancelled")
	errVanished  = failure.New(failure.Cancelled, "the runner's hook process has gone")
	errStopping  = failure.New(failure.Cancelled, "kiln's daemon is being stopped: the runner pod is shutting down")
)

// interrupted is the answer to a step that an earlier run of the daemon left, and that
// cannot go on.
const interrupted = "kiln's daemon was restarted while this step ran: run the job again; an operator finds the reason in the log of the kiln container"

// serving is one run of the daemon. Its maps belong to the goroutine of run.
type serving struct {
	*App
	active map[string]*flight   // steps in flight and answered ones
	warned map[string]time.Time // when what kind of trouble was told last
	locked *spool.Lock
	swept  time.Time
	wishes *wishes
	wait   sync.WaitGroup
}

// flight is a request that was claimed.
type flight struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it is answered
}

// newServing returns a run of a.
func newServing(a *App) *serving {
	return &serving{App: a, active: map[string]*flight{}, warned: map[string]time.Time{}, wishes: newWishes(a)}
}

// run scans the exchange after every wake until ctx ends.
func (s *serving) run(ctx context.Context) error {
	watcher := spool.Watch(ctx, s.exchange.WatchDirs()...)
	s.metrics.Polling(watcher.Polling)
	if watcher.Polling {
		s.log.Warn("the kernel gives no inotify instance, the exchange is polled")
	}
	s.publish()
	s.lock() // before anything that takes time: shims give up on a daemon that is not there
	s.resume(ctx)
	for {
		s.lock()
		s.scan(ctx)
		select {
		case <-ctx.Done():
			return s.stop()
		case <-watcher.C:
		case <-s.wishes.freed:
			s.wishes.running--
		}
	}
}

// publish tells shims the limits, and whether there is an extension template.
func (s *serving) publish() {
	err := s.exchange.Publish(spool.Settings{
		ContextMaxBytes:   s.settings.ContextMaxBytes,
		ContextMaxEntries: s.settings.ContextMaxEntries,
		HookTemplate:      s.settings.ActionTemplate != "",
		Prebuild:          s.wishes.atOnce > 0,
	})
	s.warn("publish settings", err)
}

// lock takes the daemon's lock, which tells shims that they are served.
func (s *serving) lock() {
	if s.locked != nil {
		return
	}
	lock, err := s.exchange.LockDaemon()
	if err != nil {
		// A shim that looks holds it for an instant; whoever keeps it only
		// deceives shims about a daemon that is there.
		s.warn("take the daemon's lock", err)
		return
	}
	s.locked = lock
}

// stop cancels what is in flight and waits for it.
func (s *serving) stop() error {
	for _, f := range s.active {
		f.cancel(errStopping)
	}
	s.wait.Wait()
	if s.locked != nil {
		return s.locked.Release()
	}
	return nil
}

// finished is a flight that has been answered.
func finished() *flight {
	f := &flight{cancel: func(error) {}, done: make(chan struct{})}
	close(f.done)
	return f
}

// scan compares the exchange with what is known and acts on the difference.
func (s *serving) scan(ctx context.Context) {
	due := time.Since(s.swept) >= sweepInterval
	if due {
		s.swept = time.Now()
		s.look() // also where nothing can be read
	}
	present, foreign, err := s.exchange.Requests()
	s.warn("scan the exchange", err)
	if foreign > 0 {
		s.warn("foreign names in the exchange", fmt.Errorf("%d names among the requests are none; they are removed", foreign))
	}
	if err != nil {
		return
	}
	waiting, left := s.unanswered(), 0
	for _, id := range present {
		switch {
		case s.active[id] != nil:
		case waiting >= maxClaims:
			left++
		case s.claim(ctx, id):
			waiting++
		}
	}
	s.crowded(left)
	s.takeWishes(ctx)
	s.cancelled(present)
	s.collect(present)
	if due {
		s.sweep(present)
	}
}

// unanswered counts the steps that wait or run.
func (s *serving) unanswered() int {
	count := 0
	for _, f := range s.active {
		if !f.answered() {
			count++
		}
	}
	return count
}

// sweep removes what vanished shims left.
func (s *serving) sweep(present []string) {
	s.warn("sweep the exchange", s.exchange.Sweep(draftAge))
	for _, id := range present {
		if f := s.active[id]; f != nil && f.answered() && s.exchange.Vanished(id) {
			s.warn("clear a request", s.exchange.Clear(id))
		}
	}
}

// Problems that workflow code can make, and end.
const (
	closedProblem = "way through the exchange"
	crowdProblem  = "crowd of requests"
)

// look mends the exchange as far as that is possible, and says at /readyz and once
// in the log what keeps a later step from being served.
func (s *serving) look() {
	err := s.exchange.Check()
	if err != nil {
		err = fmt.Errorf("a step may not be seen or answered: %w", err)
	}
	s.problems.set(closedProblem, problem{err: err})
	s.warn(closedProblem, err)
}

// crowded notes whether requests wait that are more than kilnd takes at once.
func (s *serving) crowded(left int) {
	var err error
	if left > 0 {
		err = fmt.Errorf("%d requests are not taken up, since %d wait or run already: processes of the job hold them", left, maxClaims)
	}
	s.problems.set(crowdProblem, problem{err: err})
	s.warn(crowdProblem, err)
}

// claim starts to answer the request id, where it can be answered.
func (s *serving) claim(ctx context.Context, id string) bool {
	claim, err := s.exchange.Claim(id, s.settings.LogBacklogBytes)
	if errors.Is(err, spool.ErrAnswered) {
		s.active[id] = finished()
		return false
	}
	if err != nil {
		s.warn("claim a request", err)
		return false
	}
	s.fly(ctx, claim)
	return true
}

// fly answers a claim.
func (s *serving) fly(ctx context.Context, claim *spool.Claim) *flight {
	// stop ends it, with a cause that tells its author more than a signal's name.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	f := &flight{cancel: cancel, done: make(chan struct{})}
	s.active[claim.ID] = f
	s.wait.Go(func() {
		defer cancel(nil)
		defer close(f.done)
		s.answer(ctx, cancel, claim)
	})
	return f
}

// cancelled cancels the steps whose shim asks for it, and removes the wishes
// of shims that have no step.
func (s *serving) cancelled(present []string) {
	ids, err := s.exchange.Cancelled()
	s.warn("scan the exchange", err)
	for _, id := range ids {
		if f := s.active[id]; f != nil {
			f.cancel(errCancelled)
		} else if !slices.Contains(present, id) {
			s.warn("clear a request", s.exchange.Clear(id))
		}
	}
}

// collect removes the answers whose shim has gone.
func (s *serving) collect(present []string) {
	answered, err := s.exchange.Responses()
	s.warn("scan the exchange", err)
	for id, f := range s.active {
		if f.answered() && !slices.Contains(present, id) && !slices.Contains(answered, id) {
			delete(s.active, id)
		}
	}
	for _, id := range answered {
		if slices.Contains(present, id) {
			continue
		}
		if f := s.active[id]; f == nil || f.answered() {
			s.warn("clear a request", s.exchange.Clear(id))
			delete(s.active, id)
		}
	}
}

// answered reports whether the flight's result is written.
func (f *flight) answered() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// warn tells of a kind of trouble, with what it is this time. More of the kind is
// worth no line for a while.
func (s *serving) warn(kind string, err error) {
	if last, told := s.warned[kind]; err == nil || told && time.Since(last) < warnAgain {
		return
	}
	s.warned[kind] = time.Now()
	s.log.Warn(kind, zap.Error(err))
}
