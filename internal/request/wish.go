package request

import (
	"context"
	"errors"
	"io"

	"go.uber.org/zap"

	"kiln/internal/ahead"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/imagebuild"
	"kiln/internal/metrics"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// Wish has the image of a wish built, or finds that it need not be, and closes the wish.
// No step waits for it, and none hears of it: a step that wants the image finds it, or
// follows its build. When ctx ends, or the job's wishes do, the build is cancelled,
// unless a step follows it.
func (h *Handler) Wish(ctx context.Context, wish *spool.TakenWish) {
	defer wish.Close()
	s := h.wishOf(wish)
	image, err := s.grant(ctx)
	outcome := wishOutcome(err, image)
	h.metrics.WishEnded(outcome)
	fields := append(s.times.Fields(), zap.String("outcome", string(outcome)), zap.String("action", s.actionName()),
		zap.String("reason", string(failure.Of(err))), zap.Error(err))
	s.logger.Info("wish ended", fields...)
}

// BeginJob says that a job has begun, by what the ids of its wishes begin with: only those
// are carried out from here on, and those of the job before are over.
func (h *Handler) BeginJob(job string) { h.ahead.BeginJob(job) }

// wishOf is the step that a wish would be. Its log is nobody's, and its phases are no
// step's.
func (h *Handler) wishOf(wish *spool.TakenWish) *step {
	asked := wish.Wish
	return &step{
		handler:   h,
		id:        wish.ID,
		ahead:     true,
		asked:     spool.Request{Dockerfile: asked.Dockerfile, Path: asked.Path, Workspace: asked.Workspace},
		staged:    wish.Context,
		container: hook.Container{Dockerfile: asked.Path, EnvironmentVariables: asked.Env},
		log:       steplog.New(io.Discard, "", false),
		times:     steplog.NewTimes(nil),
		logger:    h.logger.With(zap.String("request", wish.ID)),
	}
}

// grant does the work of Wish.
func (s *step) grant(ctx context.Context) (image imagebuild.Image, err error) {
	ctx, end, err := s.handler.ahead.Begin(ctx, s.id, s.asked.Path)
	if err != nil {
		return image, err
	}
	defer end()
	if err := s.handler.state.Accept(s.id); err != nil {
		return image, err
	}
	defer func() { s.warn("forget a wish", s.handler.state.Forget(s.id)) }()
	if s.self, err = s.whoAmI(ctx); err != nil {
		return image, err
	}
	image, err = s.build(ctx, s.self.Owner())
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	return image, err
}

// wishOutcome is how a wish is counted.
func wishOutcome(err error, image imagebuild.Image) metrics.Wish {
	switch {
	case errors.Is(err, ahead.ErrNoRoom):
		return metrics.WishYielded
	case errors.Is(err, ahead.ErrJobOver), errors.Is(err, ahead.ErrBrought), errors.Is(err, context.Canceled):
		return metrics.WishCancelled
	case err != nil:
		return metrics.WishFailed
	case image.Reused != "":
		return metrics.WishReused
	case image.Followed:
		return metrics.WishFollowed
	}
	return metrics.WishBuilt
}
