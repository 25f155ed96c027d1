package actionrun

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/action"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/spool"
)

// findTimeout bounds the search for what an earlier run of the daemon made.
const findTimeout = 2 * time.Minute

// earlier is what an earlier run of the daemon has made of an action.
type earlier struct {
	made spool.Made
	// job is nil where there is none yet. Then the one that is made has the same name:
	// a request for it may be on its way still, and no action runs twice.
	job *batchv1.Job
}

// findEarlier finds what an earlier run of the daemon has made, nil for nothing. The error
// is that of an action that cannot go on.
func (a *Action) findEarlier(ctx context.Context) (*earlier, error) {
	if !a.step.Earlier || a.made != nil {
		return nil, nil
	}
	var err error
	if a.made, err = a.runner.options.State.Noted(a.step.ID); err != nil || len(a.made) == 0 {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	found := &earlier{made: a.made[len(a.made)-1]}
	if found.made.Over { // what is left of it is deleted with the rest of the step
		return nil, nil
	}
	found.job, err = a.runner.options.Pods.Job(ctx, found.made.Name, a.mark())
	switch {
	case err == nil:
		return found, nil
	case !errors.Is(err, podrun.ErrGone):
		return nil, fmt.Errorf("find the action's Job after a restart of kiln's daemon: %w", err)
	case found.made.JobUID != "":
		a.deleteSecret(found.made)
		return nil, podwait.Lost("action's Job", podrun.ErrGone)
	}
	a.deleteSecret(found.made)
	return found, nil
}

// mark tells the action's objects from others.
func (a *Action) mark() podrun.Mark { return mark(a.step.ID, types.UID(a.step.Runner.UID)) }

// deleteSecret deletes the Secret of what was made, unless it was deleted.
func (a *Action) deleteSecret(made spool.Made) {
	if a.bare == made.Name {
		return
	}
	done := a.cleanup("step Secret", func(ctx context.Context) error {
		return a.runner.options.Pods.DeleteSecret(ctx, podrun.Object{Name: made.Name, UID: types.UID(made.SecretUID)})
	})
	if done {
		a.bare = made.Name
	}
}

// deleteJob deletes the Job of what was made. Where the action has told its end, and its pod
// has no other container, nothing runs there any more, though the cluster may say that it
// does: there is nobody to be given time.
func (a *Action) deleteJob(made spool.Made) {
	grace := int64(action.GraceSeconds)
	if a.empty {
		grace = 0
	}
	a.cleanup("action Job", func(ctx context.Context) error {
		return a.runner.options.Pods.DeleteJob(ctx, podrun.Object{Name: made.Name, UID: types.UID(made.JobUID)}, a.mark(), grace)
	})
}

// goOn sees the Job through that an earlier run of the daemon made, and deletes it with
// its Secret.
func (a *Action) goOn(ctx context.Context, found *earlier, reused bool) (int, error) {
	found.made.JobUID = string(found.job.UID)
	defer a.deleteSecret(found.made)
	defer a.deleteJob(found.made)
	run := a.follow(found.job, reused)
	run.job = found.job
	waited := time.Since(found.job.CreationTimestamp.Time)
	run.deadline.Reset(max(a.runner.options.PendingTimeout-waited, podwait.Interval))
	return a.see(ctx, run, found.made)
}

// see carries a run of what was made out. How it ended is told, and that another one
// follows it is written down, before anything of it is deleted.
func (a *Action) see(ctx context.Context, run *run, made spool.Made) (int, error) {
	code, err := run.run(ctx)
	a.empty = run.exit != nil && run.isAlone()
	if errors.Is(err, ErrImageMissing) || errors.Is(err, errNoOutlet) {
		made.Over = true
		return code, errors.Join(err, a.note(made))
	}
	if a.step.Ended != nil {
		a.step.Ended(code, err)
	}
	if a.step.Over != nil && run.isOver && ctx.Err() == nil {
		if a.deleteSecret(made); a.bare == made.Name {
			a.ends = a.runner.clearing.begin()
			a.step.Over(code, err)
		}
	}
	return code, err
}

// vanished is the error of a Job of an earlier run of the daemon that has no pod any
// more; nil while one may come.
func (r *run) vanished(ctx context.Context) error {
	if r.job == nil || r.pod != nil {
		return nil
	}
	job, err := r.action.runner.options.Pods.Job(ctx, r.job.Name, r.action.mark())
	if errors.Is(err, podrun.ErrGone) {
		return podwait.Lost("action's Job", err)
	}
	if err == nil && podrun.Finished(job) {
		return podwait.Lost("action's pod", podrun.ErrGone)
	}
	return nil // whatever is in the way of asking may pass
}
