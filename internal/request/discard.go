package request

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/spool"
)

// newName returns a name for objects that nobody can foresee, and that says
// nothing of the request: its id is workflow code's to choose, and could be made
// to equal the name of another's objects.
func newName() string { return "kiln-" + spool.NewID() }

// note remembers what is made, before it is made: a daemon that comes after this
// one finds it. Without that the step cannot go on.
func (s *step) note(made spool.Made) error {
	for i := range s.made {
		if s.made[i].Name == made.Name {
			s.made[i] = made
			return s.handler.State.Note(s.id, s.made)
		}
	}
	s.made = append(s.made, made)
	return s.handler.State.Note(s.id, s.made)
}

// mark tells the objects that an action of the request id has from others.
func mark(id string, owner types.UID) podrun.Mark {
	return podrun.Mark{Labels: map[string]string{label.Request: id, label.Role: label.RoleAction}, Owner: owner}
}

// Discard deletes the objects that an earlier run of the daemon made for the
// request id, for cleanupTimeout at most. They are those that the state names,
// and of them those that have the marks of that request and of this runner. What
// does not exist is no error; an error says that something may be left and
// Discard has to be called again.
func (h *Handler) Discard(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	made, err := h.State.Noted(id)
	if err != nil {
		return err
	}
	self, err := h.Runner.Read(ctx)
	if err != nil {
		return fmt.Errorf("tell what belongs to this runner: %w", err)
	}
	errs := make([]error, 1+len(made))
	var group sync.WaitGroup
	group.Go(func() { errs[len(made)] = h.releaseBuilds(ctx) })
	for i, m := range made {
		group.Go(func() {
			errs[i] = errors.Join(
				h.Pods.DeleteJob(ctx, podrun.Object{Name: m.Name}, mark(id, types.UID(self.UID)), 0),
				h.Pods.DeleteSecret(ctx, podrun.Object{Name: m.Name, UID: types.UID(m.SecretUID)}))
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
