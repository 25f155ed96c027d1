package request

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

// holds counts how many steps of this daemon need each build pod: a pod has one
// owner entry for a runner, however many of its steps wait for the build. The
// zero value is ready; it is safe for concurrent use.
type holds struct {
	mu    sync.Mutex
	pods  map[types.UID]int
	steps map[string]bool
}

// begin says that the step with the request id may make pods from now on.
func (h *holds) begin(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.steps == nil {
		h.steps = map[string]bool{}
	}
	h.steps[id] = true
}

// end says that the step with the request id is over.
func (h *holds) end(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.steps, id)
}

// hold adds a step that needs the pod.
func (h *holds) hold(pod types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pods == nil {
		h.pods = map[types.UID]int{}
	}
	h.pods[pod]++
}

// drop removes a step that needs the pod and reports whether it was the last.
func (h *holds) drop(pod types.UID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pods[pod]--; h.pods[pod] > 0 {
		return false
	}
	delete(h.pods, pod)
	return true
}

// used reports whether a step of this daemon made the pod or needs it.
func (h *holds) used(pod *corev1.Pod) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pods[pod.UID] > 0 || h.steps[pod.Labels[label.Request]]
}

// letGo ends the step's need of a build pod. The runner gives the pod up with
// the last step that needs it, and the pod goes with the last runner.
func (s *step) letGo(pod *corev1.Pod) {
	if !s.handler.holds.drop(pod.UID) {
		return
	}
	s.cleanup("build pod", func(ctx context.Context) error {
		return s.handler.pods.Release(ctx, pod.Name, pod.UID, s.owner.UID)
	})
}

// releaseBuilds gives up the build pods that an earlier run of the daemon made
// or followed.
func (h *Handler) releaseBuilds(ctx context.Context) error {
	self, err := h.runner.Read(ctx)
	if err != nil {
		return err
	}
	owner := types.UID(self.UID)
	pods, err := h.pods.PodsWith(ctx, label.Role, label.RoleBuild)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		return !podrun.Owned(&pod, owner) || h.holds.used(&pod)
	})
	for i := range left {
		if err := h.pods.Release(ctx, left[i].Name, left[i].UID, owner); err != nil {
			return err
		}
		h.logger.Info("gave up a build pod of an earlier run", zap.String("pod", left[i].Name))
	}
	return nil
}
