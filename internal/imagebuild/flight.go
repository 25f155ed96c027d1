package imagebuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/steplog"
)

// Bounds on how often a build begins again.
const (
	maxAttempts = 3 // after what only the infrastructure can be blamed for
	// maxTurns is how often for any reason, other runners' builds included, once the
	// time of a build is over: within it a pod that goes away costs nothing.
	maxTurns = 12
	maxPause = 10 * time.Second // between two turns
)

// errAgain says that the build pod is not, or no longer, one to wait for: what
// the registry and the cluster hold has to be looked at again.
var errAgain = errors.New("the build pod went away")

// produce has the image of the plan built in a pod, by this runner or another.
func (o *order) produce(ctx context.Context) (result, error) {
	if built := o.begun.Built; built != nil {
		o.steps = built.Steps
		return built.result(), nil
	}
	if err := o.ensureOwner(ctx); err != nil {
		return result{}, err
	}
	var err error
	if o.plan.users, err = o.ownUsers(); err != nil {
		return result{}, err
	}
	spec, err := o.specify(ctx)
	if err != nil {
		return result{}, err
	}
	if o.begun.Since.IsZero() {
		o.begun.Since = time.Now()
	}
	turns := 0
	for ; turns < maxTurns || time.Since(o.begun.Since) < o.builder.options.Settings.BuildTimeout; turns++ {
		built, err := o.attempt(ctx, spec)
		if err == nil || ctx.Err() != nil {
			return built, err
		}
		again, renamed := o.withoutUsers(spec, err)
		if renamed != nil {
			return result{}, renamed
		}
		if !again && !errors.Is(err, errAgain) {
			o.note(func(b *Begun) { b.Failures++ })
			if !failure.Of(err).Retry() || o.begun.Failures >= maxAttempts {
				return result{}, err
			}
			o.who.Log.Line("kiln: attempt %d of %d failed: %s", o.begun.Failures, maxAttempts, steplog.OneLine(err.Error())+" "+failure.Of(err).Mark())
		}
		if err := o.pause(ctx, turns, !again && !errors.Is(err, errAgain)); err != nil {
			return result{}, err
		}
		if found, why := o.find(ctx); why == "" {
			return found, nil
		}
	}
	return result{}, failure.New(failure.Internal, "the build began %d times and its pod %s went away each time: somebody deletes it, or keeps its name", turns, spec.Name)
}

// pause waits before another attempt, longer after each and longest after one that
// failed, and not for the same time in every runner.
func (o *order) pause(ctx context.Context, turns int, failed bool) error {
	base := min(100*time.Millisecond<<min(turns/2, 10), maxPause)
	if failed {
		base = time.Second << o.begun.Failures
		o.who.Log.Once(fmt.Sprintf("trying again after %d", o.begun.Failures), "kiln: trying again")
	}
	timer := time.NewTimer(base/2 + rand.N(base))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// attempt makes the build pod, or follows the one that is there, and sees it
// through.
func (o *order) attempt(ctx context.Context, spec *corev1.Pod) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.begun.Pod != spec.Name {
		o.note(func(b *Begun) { b.Pod = spec.Name })
	}
	pod, err := o.admit(ctx, spec)
	switch {
	case err == nil:
		o.builder.shares.take(pod.UID)
		defer o.letGo(pod.Name, pod.UID)
		if err := o.usersDropped(pod); err != nil {
			return result{}, err
		}
		// Another runner may have finished this build since the registry was
		// asked; its pod is gone, so the name was free.
		if found, why := o.find(ctx); why == "" {
			return found, nil
		}
		o.who.Log.Debug("build pod %s/%s, executor %s", pod.Namespace, pod.Name, o.plan.executor)
		return o.outcome(ctx, pod, creator)
	case apierrors.IsAlreadyExists(err):
		return o.follow(ctx, spec)
	case !podrun.Refused(err): // the answer alone may be lost
		defer o.cleanup("build pod", func(ctx context.Context) error { return o.discardOwn(ctx, spec.Name) })
	}
	return result{}, createFailure(err)
}

// outcome sees a build pod through. Where nothing was heard of what it pushed, the
// registry is asked: an image under the build's tag is what was built.
func (o *order) outcome(ctx context.Context, pod *corev1.Pod, as role) (result, error) {
	built, err := o.seeThrough(ctx, pod, as)
	if errors.Is(err, errUnheard) {
		if found, why := o.find(ctx); why == "" {
			return found, nil
		}
	}
	return built, err
}

// createFailure is the error of a pod that the API server did not take.
func createFailure(err error) error {
	if podrun.Refused(err) {
		return failure.New(failure.Of(err), "kiln: create the build pod: %w", err)
	}
	return fmt.Errorf("create the build pod: %w", err)
}

// discardOwn gives up the build pod called name if this order made it.
func (o *order) discardOwn(ctx context.Context, name string) error {
	pod, err := o.builder.options.Pods.Pod(ctx, name)
	if errors.Is(err, podrun.ErrGone) {
		return nil
	}
	if err != nil || pod.Labels[label.Request] != o.who.ID {
		return err
	}
	return o.builder.options.Pods.Release(ctx, name, pod.UID, o.owner.UID)
}

// follow waits for the build of another step, in this runner or another. What
// has the name and is not that build is removed.
func (o *order) follow(ctx context.Context, spec *corev1.Pod) (result, error) {
	pod, err := o.builder.options.Pods.Pod(ctx, spec.Name)
	if errors.Is(err, podrun.ErrGone) {
		return result{}, errAgain
	}
	if err != nil {
		return result{}, fmt.Errorf("read the build pod of another runner: %w", err)
	}
	if o.heirOf(pod) {
		return o.resume(ctx, pod, heir)
	}
	if reason := o.builder.stranger(ctx, pod, spec); reason != "" {
		o.who.Logger.Warn("removing a pod that has the name of a build", zap.String("pod", pod.Name), zap.String("reason", reason))
		return result{}, o.remove(ctx, pod)
	}
	if o.mine(pod) {
		return o.resume(ctx, pod, creator)
	}
	o.note(func(b *Begun) { b.Followed = pod.UID })
	o.who.Log.Line("kiln: following the build that %s began", steplog.OneLine(creatorName(pod)))
	return o.outcome(ctx, pod, follower)
}

// stranger says why pod is not the build that spec describes, "" if it is.
func (b *Builder) stranger(ctx context.Context, pod, spec *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil:
		return "it is being deleted"
	case ended(pod):
		return "it has ended"
	case kaniko.Same(pod, spec):
		return ""
	}
	// Admission may change what runners ask for, and changes it for all alike.
	admitted, err := b.options.Pods.Admitted(ctx, spec)
	if err == nil && kaniko.Same(pod, admitted) {
		return ""
	}
	return "it is not what kiln makes"
}

// remove deletes a pod that is in the way, at once, and waits until its name is
// free.
func (o *order) remove(ctx context.Context, pod *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	if err := o.builder.options.Pods.Delete(ctx, pod.Name, 0, &metav1.Preconditions{UID: &pod.UID}); err != nil {
		return fmt.Errorf("remove the pod %s, which has the name of this build: %w", pod.Name, err)
	}
	if err := o.builder.options.Pods.WaitGone(ctx, pod.Name, pod.UID); err != nil {
		return fmt.Errorf("wait until the pod %s, which has the name of this build, is gone: %w", pod.Name, err)
	}
	return errAgain
}

// creatorName is the runner that made a build pod, for a person.
func creatorName(pod *corev1.Pod) string {
	return cmp.Or(pod.Annotations[label.Runner], "another runner")
}
