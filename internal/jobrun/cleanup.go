package jobrun

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
)

// cleanupTimeout bounds the deletion of a job's objects. It does not end with the
// call's own context.
const cleanupTimeout = 10 * time.Second

// podGrace is how many seconds the containers of a job that is over have between
// SIGTERM and SIGKILL.
const podGrace = 2

// Cleanup deletes what the job of this runner has, whatever became of its
// preparation, and what an earlier run of the daemon may not have written down. It is
// no error if something stays: the author is warned, and the owner reference collects
// it.
func (r *Runner) Cleanup(ctx context.Context, call Call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	give, err := r.take(ctx)
	if err == nil {
		defer give()
		if r.options.Services != nil {
			r.options.Services.Stop(ctx, call)
		}
		err = errors.Join(r.clear(ctx, call), r.sweep(ctx, call))
	}
	call.Times.Mark("cleanup")
	if err != nil {
		r.failed(call, err)
		call.Log.Line("::warning::kiln: not everything of the job could be removed now; it goes with the runner pod")
	}
}

// clear deletes what the state has of a job, and forgets it. Its caller has the turn.
func (r *Runner) clear(ctx context.Context, call Call) error {
	record, noted, err := r.options.State.NotedJob()
	if err != nil || !noted {
		return err
	}
	if err := r.remove(ctx, call, record, podGrace); err != nil {
		return err
	}
	return r.options.State.ForgetJob()
}

// sweep deletes the pods that have the marks of this runner's jobs.
func (r *Runner) sweep(ctx context.Context, call Call) error {
	pods, err := r.options.Pods.Marked(ctx, mark(call))
	if err != nil {
		return err
	}
	errs := make([]error, len(pods))
	for i := range pods {
		if pods[i].DeletionTimestamp == nil {
			errs[i] = r.options.Pods.DeletePod(ctx, podrun.Object{Name: pods[i].Name, UID: pods[i].UID}, mark(call), podGrace)
		}
	}
	return errors.Join(errs...)
}

// remove deletes the objects of a record, all at once. What does not exist is no
// error.
func (r *Runner) remove(ctx context.Context, call Call, record spool.JobRecord, grace int64) error {
	errs := make([]error, len(record.Pods)+len(record.Secrets))
	var group sync.WaitGroup
	for i, pod := range record.Pods {
		group.Go(func() { errs[i] = r.options.Pods.DeletePod(ctx, object(pod), mark(call), grace) })
	}
	for i, secret := range record.Secrets {
		group.Go(func() { errs[len(record.Pods)+i] = r.options.Pods.DeleteSecret(ctx, object(secret)) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// object is what a record keeps, for a deletion.
func object(kept spool.Kept) podrun.Object {
	return podrun.Object{Name: kept.Name, UID: types.UID(kept.UID)}
}

// failed counts a deletion that did not succeed, and tells the operator.
func (r *Runner) failed(call Call, err error) {
	if err != nil {
		r.options.Metrics.CleanupFailed()
		call.Logger.Warn("cleanup failed, the owner reference will collect it", zap.String("what", "job"), zap.Error(err))
	}
}

// Discard deletes what an earlier run of the daemon made for the request id, in the
// runner pod self: the objects of a job that was not prepared yet. A job that was goes
// on. An error says that something may be left.
func (r *Runner) Discard(ctx context.Context, id string, self runnerpod.Self) error {
	give, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	record, noted, err := r.options.State.NotedJob()
	if err != nil || !noted || record.Request != id || record.Ready {
		return err
	}
	return r.clear(ctx, Call{Runner: self})
}
