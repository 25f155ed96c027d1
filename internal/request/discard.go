package request

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Discard deletes the objects that an earlier run of the daemon made for the
// request id, for discardTimeout at most. They are those that the state names,
// and of them those that have the marks of that request and of this runner. What
// does not exist is no error; an error says that something may be left and
// Discard has to be called again.
func (h *Handler) Discard(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, discardTimeout)
	defer cancel()
	self, err := h.runner.Read(ctx)
	if err != nil {
		return fmt.Errorf("tell what belongs to this runner: %w", err)
	}
	var errs [3]error
	var group sync.WaitGroup
	group.Go(func() { errs[0] = h.actions.Discard(ctx, id, types.UID(self.UID)) })
	group.Go(func() { errs[1] = h.builds.Release(ctx, types.UID(self.UID)) })
	group.Go(func() { errs[2] = h.jobs.Discard(ctx, id, self) })
	group.Wait()
	return errors.Join(errs[:]...)
}
