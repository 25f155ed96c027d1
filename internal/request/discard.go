package request

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/runnerpod"
)

// Discard deletes the objects that an earlier run of the daemon made for the action, or
// the job, of the request id, which nobody waits for, for discardTimeout at most. They are
// those that the state names, and of them those that have the marks of that request and
// of this runner. What does not exist is no error; an error says that something may be
// left and Discard has to be called again.
func (h *Handler) Discard(ctx context.Context, id string) error {
	return h.asRunner(ctx, func(ctx context.Context, self runnerpod.Self) error {
		var errs [2]error
		var group sync.WaitGroup
		group.Go(func() { errs[0] = h.actions.Discard(ctx, id, types.UID(self.UID)) })
		group.Go(func() { errs[1] = h.jobs.Discard(ctx, id, self) })
		group.Wait()
		return errors.Join(errs[:]...)
	})
}

// Release gives up the build pods of an earlier run of the daemon that no step needs
// now. It is called once no step is left that may look for its pod; an error is that of
// Discard.
func (h *Handler) Release(ctx context.Context) error {
	return h.asRunner(ctx, func(ctx context.Context, self runnerpod.Self) error {
		return h.builds.Release(ctx, types.UID(self.UID))
	})
}

// asRunner does what has to know the runner pod, for discardTimeout at most.
func (h *Handler) asRunner(ctx context.Context, do func(context.Context, runnerpod.Self) error) error {
	ctx, cancel := context.WithTimeout(ctx, discardTimeout)
	defer cancel()
	self, err := h.runner.Read(ctx)
	if err != nil {
		return fmt.Errorf("tell what belongs to this runner: %w", err)
	}
	return do(ctx, self)
}
