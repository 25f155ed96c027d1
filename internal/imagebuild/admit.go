package imagebuild

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
func (o *order) admit(ctx context.Context, spec *corev1.Pod) (*corev1.Pod, error) {
	pod, err := o.builder.options.Pods.CreatePod(ctx, spec)
	full, never := o.builder.options.Pods.QuotaFull(err)
	if full == "" || never {
		return pod, err
	}
	defer o.builder.options.Metrics.PodWaits()()
	began := time.Now()
	deadline := time.NewTimer(o.builder.options.Settings.PendingTimeout)
	defer deadline.Stop()
	ticker := time.NewTicker(podwait.Interval)
	defer ticker.Stop()
	for said := ""; full != "" && !never; full, never = o.builder.options.Pods.QuotaFull(err) {
		if full != said {
			said = full
			o.who.Log.Line("kiln: waiting: %s", steplog.OneLine(full))
		}
		o.who.Log.Beat(func() string { return fmt.Sprintf("waiting for the quota of build pods, %s", steplog.Elapsed(began)) })
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-deadline.C:
			return nil, failure.New(failure.Unschedulable, "the build pod was not admitted within %s (KILN_PENDING_TIMEOUT): %s", o.builder.options.Settings.PendingTimeout, steplog.OneLine(full))
		case <-ticker.C:
			pod, err = o.builder.options.Pods.CreatePod(ctx, spec)
		}
	}
	return pod, err
}
