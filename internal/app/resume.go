package app

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"kiln/internal/spool"
)

// Times of what an earlier run of the daemon left.
const (
	discardTimeout = 20 * time.Second
	// steady is how long a run has to live to show that a step which it goes on with
	// does not end it; maxRestarts is how many in a row may live shorter.
	steady      = 5 * time.Second
	maxRestarts = 5
)

// keptRestarts is the name under which the state has how many runs in a row have ended
// soon after they had gone on with a request.
const keptRestarts = "restarts"

// resume takes up what an earlier run of the daemon left unfinished. What was made for a
// shim that waits no longer is deleted beside.
func (s *serving) resume(ctx context.Context) {
	if s.state == nil {
		return
	}
	ids, err := s.state.Accepted()
	s.warn("read the state", err)
	var flights []*flight
	for _, id := range ids {
		flights = append(flights, s.takeUp(ctx, id))
	}
	if s.handler == nil || len(ids) == 0 {
		return
	}
	s.wait.Go(func() {
		for _, f := range flights {
			<-f.done
		}
		s.insist(ctx, s.log, s.handler.Release)
	})
}

// takeUp goes on with the request id, or ends it where that is not possible.
func (s *serving) takeUp(ctx context.Context, id string) *flight {
	log := s.log.With(zap.String("request", id))
	restarts := 0
	_, err := s.state.Load(id, keptRestarts, &restarts)
	if restarts++; err == nil {
		err = s.state.Save(id, keptRestarts, restarts)
	}
	var claim *spool.Claim
	if err == nil && restarts <= maxRestarts {
		claim, err = s.exchange.Resume(id, s.settings.LogBacklogBytes, s.state.Journal(id))
	}
	if claim != nil {
		f := s.fly(ctx, claim)
		s.wait.Go(func() {
			s.live(id, f)
			if <-f.done; claim.Left {
				s.discard(ctx, log, id)
			}
		})
		return f
	}
	if !errors.Is(err, spool.ErrAnswered) && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("ending a step that an earlier run left", zap.Int("restarts", restarts), zap.Error(err))
		s.warn("answer a step that an earlier run left", s.exchange.Abandon(id, interrupted))
	}
	f := finished()
	s.active[id] = f
	if s.handler != nil {
		s.wait.Go(func() { s.discard(ctx, log, id) })
	}
	return f
}

// discard deletes what an earlier run made for the request id, and then what the state
// has of it.
func (s *serving) discard(ctx context.Context, log *zap.Logger, id string) {
	s.insist(ctx, log, func(ctx context.Context) error {
		return s.handler.Discard(ctx, id)
	}, func(context.Context) error { return s.state.Forget(id) })
}

// live forgets the restarts under a step once this run has lived on with it.
func (s *serving) live(id string, f *flight) {
	timer := time.NewTimer(steady)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
		if err := s.state.Save(id, keptRestarts, 0); err != nil {
			s.log.Warn("remember a step", zap.String("request", id), zap.Error(err))
		}
	}
}

// insist does what has to be done after an earlier run, in order, until that has
// succeeded: the state keeps a request as long, also over a further restart.
func (s *serving) insist(ctx context.Context, log *zap.Logger, todo ...func(context.Context) error) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for said := ""; ; {
		err := inTurn(ctx, todo)
		if err == nil {
			return
		}
		s.metrics.CleanupFailed()
		// The same again is worth no line.
		if err.Error() != said {
			said = err.Error()
			log.Warn("delete what an earlier run left", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// inTurn does one after the other, up to the first that fails.
func inTurn(ctx context.Context, todo []func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, discardTimeout)
	defer cancel()
	for _, do := range todo {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}
