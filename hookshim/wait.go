package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"kiln/internal/spool"
)

// Waiting times of the shim. The runner kills ten seconds after its first
// signal; what it is promised is five.
const (
	defaultGrace   = 60 * time.Second        // for a daemon that is not there
	unclaimedGrace = 10                      // times that, for one that takes no step
	noticeAfter    = 5 * time.Second         // until what is waited for is said
	cancelGrace    = 3500 * time.Millisecond // for the daemon to end a cancelled step
	exitGrace      = time.Second             // from there to the end of this process
	pollInterval   = 500 * time.Millisecond  // for what raises no event
)

// absence is how long something has been missing.
type absence struct {
	since   time.Time // zero while it is there
	noticed bool
}

// lasts returns for how long it has been missing, and whether that is to be
// said: once, after [noticeAfter].
func (a *absence) lasts() (missing time.Duration, say bool) {
	now := time.Now()
	if a.since.IsZero() {
		a.since = now
	}
	missing = now.Sub(a.since)
	say = missing >= noticeAfter && !a.noticed
	a.noticed = a.noticed || say
	return missing, say
}

// awaitDaemon waits until a daemon serves the exchange.
func (s *step) awaitDaemon(ctx context.Context) error {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	watcher := spool.Watch(watch, s.path)
	for {
		alive, served := s.exchange.DaemonAlive(), s.exchange.Served()
		if err := s.checkDaemon(alive, served); err != nil || alive && served {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-watcher.C:
		case <-time.After(pollInterval):
		}
	}
}

// checkDaemon says that no daemon serves the exchange, or gives up on it.
func (s *step) checkDaemon(alive, served bool) error {
	if alive && served {
		s.unserved = absence{}
		return nil
	}
	missing, say := s.unserved.lasts()
	switch {
	case missing >= s.grace && alive:
		return fmt.Errorf("the daemon does not serve %s, whose directory requests is missing after %s: %s", s.path, s.grace, lookAtDaemon())
	case missing >= s.grace:
		return fmt.Errorf("no daemon answers in %s after %s: %s", s.path, s.grace, lookAtDaemon())
	case say:
		s.say("waiting for the daemon in %s, up to %s", s.path, s.grace)
	}
	return nil
}

// checkClaim says that a daemon that is there has not taken the step, or gives
// up on it. The time without a daemon is [step.checkDaemon]'s to count.
func (s *step) checkClaim(alive bool) error {
	if !alive {
		s.unclaimed.since = time.Time{}
		return nil
	}
	missing, say := s.unclaimed.lasts()
	switch {
	case missing/unclaimedGrace >= s.grace:
		return fmt.Errorf("the daemon in %s has not taken the step after %s: %s", s.path, unclaimedGrace*s.grace, lookAtDaemon())
	case say:
		s.say("waiting for the daemon to take the step")
	}
	return nil
}

// say prints one line of the shim's own.
func (s *step) say(format string, args ...any) { say(s.out, format, args...) }

// say prints one line of the shim's own.
func say(out *lineWriter, format string, args ...any) {
	out.line(fmt.Sprintf("kiln: "+format, args...))
}

// lookAtDaemon is the advice of messages about the daemon.
func lookAtDaemon() string {
	return fmt.Sprintf("look at the kiln container of this runner pod (kubectl logs %s -c kiln)", podName())
}

// podName returns the runner pod's name for messages.
func podName() string {
	if name := os.Getenv("ACTIONS_RUNNER_POD_NAME"); name != "" {
		return name
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "POD"
}
