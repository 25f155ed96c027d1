package request

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/actionrun"
	"kiln/internal/buildcontext"
	"kiln/internal/failure"
	"kiln/internal/imagebuild"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// What the state has of a step, by name. Each says no more than the step's log does:
// that is published first.
const (
	keptRequest = "request" // what was asked, once it was read
	keptContext = "context" // of what the canonical context is, once it is whole
	keptPhases  = "phases"  // those that have ended
	keptBuild   = "build"   // how far a build is
	keptImage   = "image"   // what was built for this step
	keptEnd     = "end"     // how the step ended, before anything is deleted
)

// end is how a step ended.
type end struct {
	Code int `json:"code"`
	// Message is why it failed, empty where it did not; Reason is the class where the
	// message says all, and Place what it is about where that is known.
	Message string         `json:"message,omitempty"`
	Reason  failure.Reason `json:"reason,omitempty"`
	Place   *steplog.Place `json:"place,omitempty"`
	// Response is what the runner is to read.
	Response json.RawMessage `json:"response,omitempty"`
}

// endOf is the end of a step with a code and an error.
func endOf(code int, err error) end {
	if err == nil {
		return end{Code: code}
	}
	e := end{Code: max(code, 1), Message: err.Error()}
	if placed, ok := errors.AsType[*steplog.PlacedError](err); ok {
		e.Place = &placed.Place
	}
	if known, ok := errors.AsType[*failure.Error](err); ok {
		e.Reason = known.Reason
	}
	return e
}

// err is the error that the step ended with.
func (e end) err() error {
	var err error
	switch {
	case e.Message == "":
		return nil
	case e.Reason == "":
		err = errors.New(e.Message)
	default:
		err = failure.New(e.Reason, "%s", e.Message)
	}
	if e.Place != nil {
		err = &steplog.PlacedError{Place: *e.Place, Err: err}
	}
	return err
}

// load reads what a claim asks for: from the state where an earlier run of the daemon
// has read it, since the exchange may have changed, and else from the exchange.
func (h *Handler) load(claim *spool.Claim) {
	if claim.Resumed {
		found, err := h.state.Load(claim.ID, keptRequest, &claim.Request)
		if claim.Bad = err; found || err != nil {
			return
		}
	}
	claim.Load()
	if claim.Bad == nil {
		claim.Bad = h.state.Save(claim.ID, keptRequest, claim.Request)
	}
}

// remember lets log and phases of the step go on behind those of an earlier run of the
// daemon, and has the phases kept.
func (s *step) remember(claim *spool.Claim) {
	s.claim = claim
	if s.earlier = claim.Resumed; s.earlier {
		var mark steplog.Mark
		if len(claim.Mark) > 0 {
			s.warn("read where the step's log is", json.Unmarshal(claim.Mark, &mark))
		}
		s.log.Resume(steplog.Earlier{Mark: mark, Behind: claim.Behind, Open: claim.Open})
		var phases steplog.Phases
		if s.recall(keptPhases, &phases) {
			s.times.Resume(phases)
		}
		s.logger.Info("going on with a step that an earlier run began")
	}
	s.times.Keep(func(phases steplog.Phases) { s.warn("remember phases", s.handler.state.Save(s.id, keptPhases, phases)) })
}

// recall reads what an earlier run of the daemon has kept, and reports whether there is
// any.
func (s *step) recall(name string, value any) bool {
	if !s.earlier {
		return false
	}
	found, err := s.handler.state.Load(s.id, name, value)
	s.warn("remember a step", err)
	return found && err == nil
}

// warn tells the operator of trouble with what is kept: without it the step goes on, and
// does more again after a restart.
func (s *step) warn(what string, err error) {
	if err != nil {
		s.logger.Warn(what, zap.Error(err))
	}
}

// carryOut runs the step, or what is left of it.
func (s *step) carryOut(ctx context.Context, claim *spool.Claim, bad error) (int, error) {
	var known end
	if s.recall(keptEnd, &known) {
		s.ended, claim.Response = true, known.Response
		return known.Code, known.err()
	}
	return s.run(ctx, claim, bad)
}

// settle keeps how the step ended, once, before anything of it is deleted, and returns
// the error that its author is told: why it was cancelled, if it was.
func (s *step) settle(ctx context.Context, code int, err error) error {
	if s.told {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	if s.ended {
		return err
	}
	s.ended = true
	s.log.Flush()
	ended := endOf(code, err)
	ended.Response = s.claim.Response
	s.warn("remember the end of a step", s.handler.state.Save(s.id, keptEnd, ended))
	return err
}

// fail tells the author of the error that the step ended with, once, and returns the
// code for it.
func (s *step) fail(code int, err error) int {
	if !s.told {
		s.log.Error(err)
	}
	return max(code, 1)
}

// answer gives the shim its result while what is left of the action is deleted. Where
// that cannot be done now it is done behind that.
func (s *step) answer(code int, err error) {
	if s.log.Err() != nil {
		return
	}
	if err != nil {
		code = s.fail(code, err)
	}
	s.told = true
	s.report(code, err) // who has the result finds the step counted
	s.warn("write the result before the action's Job is deleted", s.claim.Answer(code, s.claim.Response))
}

// keepBuild keeps how far the build of the step is.
func (s *step) keepBuild(begun imagebuild.Begun) {
	s.log.Flush()
	s.warn("remember a build", s.handler.state.Save(s.id, keptBuild, begun))
}

// keepImage keeps an image that was built for this step: it is not built again.
func (s *step) keepImage(image actionrun.Image) {
	s.log.Flush()
	s.warn("remember an image", s.handler.state.Save(s.id, keptImage, image))
}

// earlierContext returns the summary and the listing of the context that an earlier run
// of the daemon has copied whole; false where there is none.
func (s *step) earlierContext() (buildcontext.Summary, *buildcontext.Tree, bool) {
	var summary buildcontext.Summary
	if !s.recall(keptContext, &summary) {
		return summary, nil, false
	}
	tree, err := s.readTree()
	s.warn("list a context", err)
	return summary, tree, err == nil
}

// Times of a step that an earlier run of the daemon had begun.
const (
	selfPatience = 2 * time.Minute // for the API server to say what the runner pod is
	selfPause    = time.Second
)

// whoAmI reads the runner pod. A step that is gone on with waits for the API server: it
// has more to lose than one that begins.
func (s *step) whoAmI(ctx context.Context) (runnerpod.Self, error) {
	began := time.Now()
	for {
		self, err := s.handler.runner.Read(ctx)
		if err == nil || !s.earlier || failure.Of(err) == failure.Misconfigured || time.Since(began) > selfPatience {
			return self, err
		}
		select {
		case <-ctx.Done():
			return self, context.Cause(ctx)
		case <-time.After(selfPause):
		}
	}
}

// clear deletes what an earlier run of the daemon has made for the step's action and
// this one has not found, or not looked for, since that one had noted the end. An error
// says that something may be left.
func (s *step) clear() error {
	if !s.earlier {
		return nil
	}
	err := s.handler.asRunner(context.Background(), func(ctx context.Context, self runnerpod.Self) error {
		return s.handler.actions.Discard(ctx, s.id, types.UID(self.UID))
	})
	s.warn("delete what an earlier run left", err)
	return err
}
