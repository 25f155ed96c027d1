package request

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/podwait"
	"kiln/internal/steplog"
)

// admit creates the build pod. A quota that is full is waited for, as the
// cluster itself waits with the pod of an action's Job; who makes the pod first
// meanwhile is followed, as ever.
func (s *step) admit(ctx context.Context, spec *corev1.Pod) (*corev1.Pod, error) {
	pod, err := s.handler.pods.CreatePod(ctx, spec)
	full, never := s.handler.pods.QuotaFull(err)
	if full == "" || never {
		return pod, err
	}
	defer s.handler.metrics.PodWaits()()
	began := time.Now()
	deadline := time.NewTimer(s.handler.operator.Settings.PendingTimeout)
	defer deadline.Stop()
	ticker := time.NewTicker(podwait.Interval)
	defer ticker.Stop()
	for said := ""; full != "" && !never; full, never = s.handler.pods.QuotaFull(err) {
		if full != said {
			said = full
			s.log.Line("kiln: waiting: %s", steplog.OneLine(full))
		}
		s.log.Beat(func() string { return fmt.Sprintf("waiting for the quota of build pods, %s", steplog.Elapsed(began)) })
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-deadline.C:
			return nil, failure.New(failure.Unschedulable, "the build pod was not admitted within %s (KILN_PENDING_TIMEOUT): %s", s.handler.operator.Settings.PendingTimeout, steplog.OneLine(full))
		case <-ticker.C:
			pod, err = s.handler.pods.CreatePod(ctx, spec)
		}
	}
	return pod, err
}
