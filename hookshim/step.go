package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"kiln/internal/failure"
	"kiln/internal/spool"
)

// step is one call on its way through the exchange.
type step struct {
	path     string
	exchange *spool.Exchange
	draft    *spool.Draft
	out      *lineWriter
	grace    time.Duration
	token    string
	outlet   *outlet // of the action; nil where it has none
	door     string  // the socket of the job container's agent; "" where none is to come

	unserved  absence // of a daemon that serves the exchange
	unclaimed absence // of one that has taken the step
}

// exchangePath is where the exchange is mounted.
func exchangePath() string { return cmp.Or(os.Getenv("KILN_EXCHANGE"), "/var/run/kiln") }

// openStep opens the exchange that KILN_EXCHANGE names.
func openStep(out *lineWriter) (*step, error) {
	path := exchangePath()
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
	s.outlet.close()
	if s.draft != nil {
		s.draft.Remove()
	}
	_ = s.exchange.Close()
}

// follow prints the step's log until the daemon has answered, and tells it at
// once when ctx ends.
func (s *step) follow(ctx context.Context) (spool.Result, error) {
	late, stop := s.cancelWith(ctx)
	defer stop()
	defer s.announce()()
	result, err := s.await(late)
	if err != nil {
		s.endShield()
		return spool.Result{}, s.explain(err)
	}
	return result, nil
}

// cancelWith cancels the request as soon as ctx ends, however long the log
// takes to print. The context that it returns ends [cancelGrace] later, with
// the cause of ctx; stop ends it too, and waits for what was begun.
func (s *step) cancelWith(ctx context.Context) (late context.Context, stop func()) {
	late, expire := context.WithCancelCause(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-late.Done():
			return
		case <-ctx.Done():
		}
		tooLate := time.After(cancelGrace)
		_ = s.draft.Cancel() // a daemon that misses it sees the lock free
		select {
		case <-late.Done():
		case <-tooLate:
			expire(context.Cause(ctx))
		}
	}()
	return late, func() {
		expire(nil)
		<-ended
	}
}

// await prints the log until the result is there or it is too late for one.
func (s *step) await(late context.Context) (spool.Result, error) {
	watch, stop := context.WithCancel(context.Background())
	defer stop()
	defer s.outlet.stop()
	watcher := spool.Watch(watch, s.exchange.ResponsesDir())
	claimed, watched := false, false
	for {
		claimed = claimed || s.draft.Claimed()
		if claimed && !watched {
			watched = watcher.Add(s.exchange.ResponseDir(s.draft.ID))
		}
		result, ok, err := s.turn(late)
		switch {
		case ok && err == nil:
			return result, nil
		case late.Err() != nil:
			return result, context.Cause(late)
		case err != nil:
			return result, err
		}
		if err := s.check(claimed); err != nil {
			return result, err
		}
		select {
		case <-late.Done():
		case <-watcher.C:
		case <-s.outlet.settled():
		case <-s.outlet.exited():
		case <-s.outlet.done():
		case <-time.After(pollInterval):
		}
	}
}

// check gives up on a daemon that has gone or that does not take the step.
func (s *step) check(claimed bool) error {
	alive := s.exchange.DaemonAlive()
	if err := s.checkDaemon(alive, true); err != nil || claimed {
		return err
	}
	return s.checkClaim(alive)
}

// print writes what is new of the log and reads the result when it is there.
// Once it is too late it writes no more.
func (s *step) print(late context.Context) (spool.Result, bool, error) {
	buffered := bufio.NewWriterSize(&cancelWriter{ctx: late.Err, w: s.out}, 64<<10)
	result, ok, err := s.draft.Result(buffered)
	if flushErr := buffered.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("print log: %w", flushErr)
	}
	return result, ok, err
}

// printLog writes what is new of the log.
func (s *step) printLog(late context.Context) error {
	buffered := bufio.NewWriterSize(&cancelWriter{ctx: late.Err, w: s.out}, 64<<10)
	return errors.Join(s.draft.Print(buffered), buffered.Flush())
}

// endShield ends the shield of build output and the group that the log may
// have begun and left open: what follows is shown, and understood.
func (s *step) endShield() {
	s.out.endLine()
	fmt.Fprintf(s.out, "::%s::\n::endgroup::\n", s.token)
}

// finish turns the daemon's result into the shim's.
func (s *step) finish(ctx context.Context, result spool.Result) (int, error) {
	if result.Message != "" {
		s.endShield()
		complain(s.out, failure.Internal, errors.New(result.Message))
	}
	if ctx.Err() != nil && result.ExitCode == 0 {
		return 1, context.Cause(ctx)
	}
	return result.ExitCode, nil // the log says why it is not 0
}
