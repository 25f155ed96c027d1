package app

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"kiln/internal/failure"
	"kiln/internal/footprint"
	"kiln/internal/hook"
	"kiln/internal/metrics"
	"kiln/internal/spool"
)

// answer runs one claimed request and writes its result. What the shim does
// meanwhile is watched by its lock.
func (s *serving) answer(ctx context.Context, cancel context.CancelCauseFunc, claim *spool.Claim) {
	defer claim.Close()
	defer s.metrics.StepStarted()()
	watched, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	go watchShim(watched, ctx.Done(), cancel, claim)
	code := s.handle(ctx, claim)
	// The state forgets last: a daemon that dies in between finds the answer.
	defer func() {
		if !claim.Left {
			s.forget(claim.ID)
		}
	}()
	if claim.Vanished() {
		if err := s.exchange.Clear(claim.ID); err != nil {
			s.log.Warn("clear what a vanished hook process left", zap.String("request", claim.ID), zap.Error(err))
		}
		return
	}
	s.finish(ctx, claim, code)
}

// forget removes what the state keeps of the request id.
func (s *serving) forget(id string) {
	if s.state == nil {
		return
	}
	if err := s.state.Forget(id); err != nil {
		s.log.Error("forget request", zap.String("request", id), zap.Error(err))
	}
}

// finish writes the result, again and again where the disk is full: a shim
// without a result waits for ever.
func (s *serving) finish(ctx context.Context, claim *spool.Claim, code int) {
	ticker := time.NewTicker(livenessInterval)
	defer ticker.Stop()
	for said := false; ; said = true {
		err := claim.Answer(code, claim.Response)
		if err == nil || claim.Vanished() {
			return
		}
		if !said {
			s.log.Error("write result", zap.String("request", claim.ID), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// handle waits for a free slot and has the step run.
func (s *serving) handle(ctx context.Context, claim *spool.Claim) int {
	if s.broken != nil {
		return s.refuse(claim, misconfigured(s.broken))
	}
	if !claim.Resumed {
		if err := s.accept(claim); err != nil {
			return s.refuse(claim, err)
		}
	}
	switch err := s.acquire(ctx, claim); {
	case err == nil:
		defer s.release()
	case claim.Resumed:
		// What an earlier run has made for it is the handler's to delete, for which it
		// needs no turn.
		return s.handler.Handle(ctx, claim)
	default:
		return s.refuse(claim, err)
	}
	if !claim.Resumed {
		s.metrics.PhaseEnded(metrics.PhaseQueue, claim.Waited())
	}
	return s.handler.Handle(ctx, claim)
}

// accept has the state keep the request and its log from now on, and tells its author of
// what is wrong.
func (s *serving) accept(claim *spool.Claim) error {
	if err := s.state.Accept(claim.ID); err != nil {
		return err
	}
	claim.Keep(s.state.Journal(claim.ID))
	for _, p := range s.problems.all() {
		if p.told {
			tell(claim, p.err)
		}
	}
	return nil
}

// acquire waits for a free slot, and tells the author when that takes time.
func (s *serving) acquire(ctx context.Context, claim *spool.Claim) error {
	notice := time.NewTimer(slotNotice)
	defer notice.Stop()
	for {
		select {
		case s.slots <- struct{}{}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-notice.C:
			fmt.Fprintf(claim.Log, "kiln: waiting: %d steps of this runner run already (KILN_MAX_IN_FLIGHT)\n", cap(s.slots))
		}
	}
}

// release frees a slot. After the last step in flight it gives the memory
// back to the node: a runner is idle most of its life.
func (s *serving) release() {
	<-s.slots
	if len(s.slots) == 0 {
		footprint.Shrink()
	}
}

// misconfigured gives what keeps kiln from running steps its class, unless it
// has one.
func misconfigured(err error) error {
	if failure.Of(err) == failure.Internal {
		return failure.New(failure.Misconfigured, "%w", err)
	}
	return err
}

// refuse answers a request that is not run.
func (s *serving) refuse(claim *spool.Claim, reason error) int {
	class := failure.Of(reason)
	tell(claim, fmt.Errorf("%w %s", reason, class.Mark()))
	s.log.Warn("step refused", zap.String("request", claim.ID), zap.String("reason", string(class)), zap.Error(reason))
	s.metrics.StepEnded(metrics.KindUnknown, 1, reason)
	return 1
}

// tell writes one error to the step's log.
func tell(claim *spool.Claim, err error) {
	_, _ = claim.Log.Write([]byte("::error::kiln: " + hook.EscapeData(err.Error()) + "\n"))
}

// watchShim cancels the step when its shim has vanished. It ends with ctx,
// which outlives the step's own: a writer that waits for a reader of the log
// holds up the whole step, so it is freed when the shim has gone and, some
// time after the step was cancelled, in any case.
func watchShim(ctx context.Context, cancelled <-chan struct{}, cancel context.CancelCauseFunc, claim *spool.Claim) {
	ticker := time.NewTicker(livenessInterval)
	defer ticker.Stop()
	var late <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-cancelled:
			cancelled, late = nil, time.After(cancelledLog)
		case <-late:
			claim.Log.Stop()
			return
		case <-ticker.C:
			if claim.Vanished() {
				claim.Log.Stop()
				cancel(errVanished)
				return
			}
		}
	}
}
