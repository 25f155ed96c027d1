package request

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
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// Bounds on how often a build begins again.
const (
	maxAttempts = 3  // after what only the infrastructure can be blamed for
	maxTurns    = 12 // for any reason, other runners' builds included
)

// errAgain says that the build pod is not, or no longer, one to wait for: what
// the registry and the cluster hold has to be looked at again.
var errAgain = errors.New("the build pod went away")

// made is the outcome of a build.
type made struct {
	digest string
	// note says in the log how the image came about.
	note string
	// kept says that the registry kept an older image under the tag.
	kept bool
	// followed says that another step built it, while this one waited.
	followed bool
	// start is how its containers start; nil where the image was not looked at.
	start *registry.Start
}

// reference is the image by digest, as nodes pull it.
func (m made) reference(p *plan) string { return repository(p.pull) + "@" + m.digest }

// make has the image of a plan built, by this runner or another.
func (s *step) make(ctx context.Context, p *plan) (made, error) {
	if err := s.ensureOwner(ctx); err != nil {
		return made{}, err
	}
	var err error
	if p.users, err = s.ownUsers(p); err != nil {
		return made{}, err
	}
	pod, err := s.ready(ctx, p)
	if err != nil {
		return made{}, err
	}
	failures := 0
	for range maxTurns {
		built, err := s.attempt(ctx, p, pod)
		if err == nil || ctx.Err() != nil {
			return built, err
		}
		again, renamed := s.withoutUsers(p, pod, err)
		if renamed != nil {
			return made{}, renamed
		}
		if !again && !errors.Is(err, errAgain) {
			failures++
			if !failure.Of(err).Retry() || failures == maxAttempts {
				return made{}, err
			}
			s.log.Line("kiln: attempt %d of %d failed: %s", failures, maxAttempts, steplog.OneLine(err.Error())+" "+failure.Of(err).Mark())
		}
		if err := s.pause(ctx, failures); err != nil {
			return made{}, err
		}
		if found, why := s.find(ctx, p); why == "" {
			return found, nil
		}
	}
	return made{}, failure.New(failure.Internal, "the build began %d times and its pod %s went away each time: somebody deletes it, or keeps its name", maxTurns, pod.Name)
}

// pause waits before another attempt, longer after each that failed, and not
// for the same time in every runner.
func (s *step) pause(ctx context.Context, failures int) error {
	base := 100 * time.Millisecond
	if failures > 0 {
		base = time.Second << failures
		s.log.Line("kiln: trying again")
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
func (s *step) attempt(ctx context.Context, p *plan, spec *corev1.Pod) (made, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pod, err := s.admit(ctx, spec)
	switch {
	case err == nil:
		s.handler.holds.hold(pod.UID)
		defer s.letGo(pod)
		if err := usersDropped(p, pod); err != nil {
			return made{}, err
		}
		// Another runner may have finished this build since the registry was
		// asked; its pod is gone, so the name was free.
		if found, why := s.find(ctx, p); why == "" {
			return found, nil
		}
		s.log.Debug("build pod %s/%s, executor %s", pod.Namespace, pod.Name, p.executor)
		return newBuild(s, p, pod, creator).run(ctx)
	case apierrors.IsAlreadyExists(err):
		return s.follow(ctx, p, spec)
	case !podrun.Refused(err): // the answer alone may be lost
		defer s.cleanup("build pod", func(ctx context.Context) error { return s.discardOwn(ctx, spec.Name) })
	}
	return made{}, createFailure(err)
}

// createFailure is the error of a pod that the API server did not take.
func createFailure(err error) error {
	if podrun.Refused(err) {
		return failure.New(failure.Of(err), "kiln: create the build pod: %w", err)
	}
	return fmt.Errorf("create the build pod: %w", err)
}

// discardOwn gives up the build pod called name if this step made it.
func (s *step) discardOwn(ctx context.Context, name string) error {
	pod, err := s.handler.pods.Pod(ctx, name)
	if errors.Is(err, podrun.ErrGone) {
		return nil
	}
	if err != nil || pod.Labels[label.Request] != s.id {
		return err
	}
	return s.handler.pods.Release(ctx, name, pod.UID, s.owner.UID)
}

// follow waits for the build of another step, in this runner or another. What
// has the name and is not that build is removed.
func (s *step) follow(ctx context.Context, p *plan, spec *corev1.Pod) (made, error) {
	pod, err := s.handler.pods.Pod(ctx, spec.Name)
	if errors.Is(err, podrun.ErrGone) {
		return made{}, errAgain
	}
	if err != nil {
		return made{}, fmt.Errorf("read the build pod of another runner: %w", err)
	}
	if reason := s.unfit(ctx, pod, spec); reason != "" {
		s.logger.Warn("removing a pod that has the name of a build", zap.String("pod", pod.Name), zap.String("reason", reason))
		return made{}, s.remove(ctx, pod)
	}
	s.log.Line("kiln: following the build that %s began", steplog.OneLine(creatorName(pod)))
	b := newBuild(s, p, pod, follower)
	defer b.leave()
	return b.run(ctx)
}

// unfit says why pod is not the build that spec describes, "" if it is.
func (s *step) unfit(ctx context.Context, pod, spec *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil:
		return "it is being deleted"
	case ended(pod):
		return "it has ended"
	case kaniko.Same(pod, spec):
		return ""
	}
	// Admission may change what runners ask for, and changes it for all alike.
	admitted, err := s.handler.pods.Admitted(ctx, spec)
	if err == nil && kaniko.Same(pod, admitted) {
		return ""
	}
	return "it is not what kiln makes"
}

// remove deletes a pod that is in the way, at once, and waits until its name is
// free.
func (s *step) remove(ctx context.Context, pod *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	if err := s.handler.pods.Delete(ctx, pod.Name, 0, &metav1.Preconditions{UID: &pod.UID}); err != nil {
		return fmt.Errorf("remove the pod %s, which has the name of this build: %w", pod.Name, err)
	}
	if err := s.handler.pods.WaitGone(ctx, pod.Name, pod.UID); err != nil {
		return fmt.Errorf("wait until the pod %s, which has the name of this build, is gone: %w", pod.Name, err)
	}
	return errAgain
}

// creatorName is the runner that made a build pod, for a person.
func creatorName(pod *corev1.Pod) string {
	return cmp.Or(pod.Annotations[label.Runner], "another runner")
}
