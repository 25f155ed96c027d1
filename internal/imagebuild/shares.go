package imagebuild

import (
	"context"
	"slices"
	"sync"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/label"
	"kiln/internal/podrun"
)

// shares counts how many steps of this daemon need each build pod: a pod has one
// owner entry for a runner, however many of its steps wait for the build. The
// zero value is ready; it is safe for concurrent use.
type shares struct {
	mu    sync.Mutex
	pods  map[types.UID]int
	steps map[string]bool
}

// begin says that the step with the request id may make pods from now on.
func (s *shares) begin(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.steps == nil {
		s.steps = map[string]bool{}
	}
	s.steps[id] = true
}

// end says that the step with the request id is over.
func (s *shares) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.steps, id)
}

// take adds a step that needs the pod.
func (s *shares) take(pod types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pods == nil {
		s.pods = map[types.UID]int{}
	}
	s.pods[pod]++
}

// give removes a step that needs the pod and reports whether it was the last.
func (s *shares) give(pod types.UID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pods[pod]--; s.pods[pod] > 0 {
		return false
	}
	delete(s.pods, pod)
	return true
}

// needed reports whether a step of this daemon needs the pod.
func (s *shares) needed(pod types.UID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pods[pod] > 0
}

// used reports whether a step of this daemon made the pod or needs it.
func (s *shares) used(pod *corev1.Pod) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pods[pod.UID] > 0 || s.steps[pod.Labels[label.Request]]
}

// letGo ends the step's need of a build pod. The runner gives the pod up with
// the last step that needs it, and the pod goes with the last runner.
func (o *order) letGo(name string, uid types.UID) {
	if !o.builder.shares.give(uid) {
		return
	}
	o.cleanup("build pod", func(ctx context.Context) error {
		return o.builder.options.Pods.Release(ctx, name, uid, o.owner.UID)
	})
}

// Release gives up, for the runner pod with that UID, the build pods that an earlier
// run of the daemon made or followed, and those that nobody owns any more.
func (b *Builder) Release(ctx context.Context, runner types.UID) error {
	pods, err := b.options.Pods.PodsWith(ctx, label.Role, label.RoleBuild)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		return !podrun.Owned(&pod, runner) && len(pod.OwnerReferences) > 0 || b.shares.used(&pod)
	})
	for i := range left {
		if err := b.options.Pods.Release(ctx, left[i].Name, left[i].UID, runner); err != nil {
			return err
		}
		b.options.Logger.Info("gave up a build pod of an earlier run", zap.String("pod", left[i].Name))
	}
	return nil
}
