package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"kiln/internal/spool"
)

// Waiting times of the shim.
const (
	defaultGrace = 60 * time.Second       // for a daemon that is not there
	noticeAfter  = 5 * time.Second        // until its absence is said
	cancelGrace  = 4 * time.Second        // for the daemon to end a cancelled step
	pollInterval = 500 * time.Millisecond // for what raises no event
)

// step is one container step on its way through the exchange.
type step struct {
	path     string
	exchange *spool.Exchange
	draft    *spool.Draft
	out      *lineWriter
	grace    time.Duration
	token    string

	absentSince time.Time // zero while the daemon is there
	noticed     bool
}

// openStep opens the exchange that KILN_EXCHANGE names.
func openStep(out *lineWriter) (*step, error) {
	path := os.Getenv("KILN_EXCHANGE")
	if path == "" {
		path = "/var/run/kiln"
	}
	grace, err := duration("KILN_DAEMON_GRACE", defaultGrace)
	if err != nil {
		return nil, err
	}
	exchange, err := spool.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: mount the exchange volume at %s in the runner container and in the kiln container", err, path)
	}
	token := make([]byte, 16)
	_, _ = rand.Read(token) // crypto/rand.Read never fails
	return &step{path: path, exchange: exchange, out: out, grace: grace, token: hex.EncodeToString(token)}, nil
}

// close takes the request out of the exchange.
func (s *step) close() {
	if s.draft != nil {
		s.draft.Remove()
	}
	_ = s.exchange.Close()
}

// awaitDaemon waits until a daemon serves the exchange.
func (s *step) awaitDaemon(ctx context.Context) error {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	watcher := spool.Watch(watch, s.path)
	for {
		if s.exchange.Served() && s.exchange.DaemonAlive() {
			return s.checkDaemon()
		}
		if err := s.checkDaemon(); err != nil {
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

// checkDaemon says that the daemon is not there, or gives up on it.
func (s *step) checkDaemon() error {
	if s.exchange.DaemonAlive() {
		s.absentSince, s.noticed = time.Time{}, false
		return nil
	}
	now := time.Now()
	if s.absentSince.IsZero() {
		s.absentSince = now
	}
	absent := now.Sub(s.absentSince)
	if absent >= s.grace {
		return fmt.Errorf("no daemon answers in %s after %s: look at the kiln container of this runner pod (kubectl logs %s -c kiln)", s.path, s.grace, podName())
	}
	if absent >= noticeAfter && !s.noticed {
		s.noticed = true
		s.out.endLine()
		fmt.Fprintf(s.out, "kiln: waiting for the daemon in %s, up to %s\n", s.path, s.grace)
	}
	return nil
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

// follow prints the step's log until the daemon has answered.
func (s *step) follow(ctx context.Context) (int, error) {
	watch, stop := context.WithCancel(context.Background())
	defer stop()
	watcher := spool.Watch(watch, s.exchange.ResponsesDir())
	done := ctx.Done()
	var deadline <-chan time.Time
	watched := false
	for {
		if !watched && s.draft.Claimed() {
			watched = watcher.Add(s.exchange.ResponseDir(s.draft.ID))
		}
		result, ok, err := s.print()
		if err != nil {
			return 1, s.explain(err)
		}
		if ok {
			return s.finish(ctx, result)
		}
		if err := s.checkDaemon(); err != nil {
			return 1, err
		}
		select {
		case <-done:
			done, deadline = nil, time.After(cancelGrace)
			_ = s.draft.Cancel() // a daemon that misses it sees the lock free
		case <-deadline:
			return 1, context.Cause(ctx)
		case <-watcher.C:
		case <-time.After(pollInterval):
		}
	}
}

// print writes what is new of the log and reads the result when it is there.
func (s *step) print() (spool.Result, bool, error) {
	buffered := bufio.NewWriterSize(s.out, 64<<10)
	result, ok, err := s.draft.Result(buffered)
	if flushErr := buffered.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("print log: %w", flushErr)
	}
	return result, ok, err
}

// finish turns the daemon's result into the shim's.
func (s *step) finish(ctx context.Context, result spool.Result) (int, error) {
	if result.Message != "" {
		s.out.endLine()
		fmt.Fprintf(s.out, "::%s::\n::endgroup::\n::error::kiln: %s\n", s.token, escape(result.Message))
	}
	if ctx.Err() != nil && result.ExitCode == 0 {
		return 1, context.Cause(ctx)
	}
	return result.ExitCode, nil // the log says why it is not 0
}
