package actionrun

import (
	"context"
	"errors"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/action"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/spool"
)

// newName returns a name for objects that nobody can foresee, and that says
// nothing of the request: its id is workflow code's to choose, and could be made
// to equal the name of another's objects.
func newName() string { return "kiln-" + spool.NewID() }

// mark tells the objects that an action of the request id has from others.
func mark(id string, owner types.UID) podrun.Mark {
	return podrun.Mark{Labels: map[string]string{label.Request: id, label.Role: label.RoleAction}, Owner: owner}
}

// Discard deletes the objects that an earlier run of the daemon made for the action of
// the request id in the runner pod with that UID. They are those that the state
// names, and of them those that have the marks of that request and of this runner.
// What does not exist is no error; an error says that something may be left. Where an
// action runs it has its time to end: it may have been told to just before.
func (r *Runner) Discard(ctx context.Context, id string, runner types.UID) error {
	made, err := r.options.State.Noted(id)
	if err != nil {
		return err
	}
	errs := make([]error, len(made))
	var group sync.WaitGroup
	for i, m := range made {
		group.Go(func() {
			errs[i] = errors.Join(
				r.options.Pods.DeleteJob(ctx, podrun.Object{Name: m.Name}, mark(id, runner), action.GraceSeconds),
				r.options.Pods.DeleteSecret(ctx, podrun.Object{Name: m.Name, UID: types.UID(m.SecretUID)}))
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// Specimen is the Job of a step that nobody asked for: what the cluster lets through
// of it, it lets through of every step's. Its image need not exist. Nothing is made.
func (o Options) Specimen(step Step, image Image) (*batchv1.Job, error) {
	a := &Action{runner: &Runner{options: o}, step: step}
	return a.runner.job(a.spec(newName(), image), o.Logger)
}
