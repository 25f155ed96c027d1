package app

import (
	"context"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"kiln/internal/spool"
)

// answer runs one claimed request and writes its result. What the shim does
// meanwhile is watched by its lock.
func (s *serving) answer(ctx context.Context, cancel context.CancelCauseFunc, claim *spool.Claim) {
	defer claim.Close()
	watched, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go watchShim(watched, cancel, claim)
	code := s.handle(ctx, claim)
	// The memory forgets last: a daemon that dies in between ends the step
	// with an error and does not run it twice.
	defer func() {
		if err := s.memory.Forget(claim.ID); err != nil {
			s.log.Error("forget request", zap.String("request", claim.ID), zap.Error(err))
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

// finish writes the result, again and again where the disk is full: a shim
// without a result waits for ever.
func (s *serving) finish(ctx context.Context, claim *spool.Claim, code int) {
	ticker := time.NewTicker(livenessInterval)
	defer ticker.Stop()
	for said := false; ; said = true {
		err := claim.Finish(code)
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
		return refuse(claim, s.broken)
	}
	if err := s.memory.Accept(claim.ID); err != nil {
		return refuse(claim, err)
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return refuse(claim, context.Cause(ctx))
	}
	defer s.release()
	return s.handler.Handle(ctx, claim)
}

// release frees a slot. After the last step in flight it gives the memory
// back to the node: a runner is idle most of its life.
func (s *serving) release() {
	<-s.slots
	if len(s.slots) == 0 {
		debug.FreeOSMemory()
	}
}

// refuse answers a request that is not run.
func refuse(claim *spool.Claim, reason error) int {
	_, _ = claim.Log.Write([]byte("::error::kiln: " + escape(reason.Error()) + "\n"))
	return 1
}

// watchShim cancels the step when its shim has vanished.
func watchShim(ctx context.Context, cancel context.CancelCauseFunc, claim *spool.Claim) {
	ticker := time.NewTicker(livenessInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if claim.Vanished() {
				claim.Log.Stop() // frees a writer that waits for a reader
				cancel(errVanished)
				return
			}
		}
	}
}
