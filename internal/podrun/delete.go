package podrun

import (
	"context"
	"errors"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Delete asks for the deletion of a pod with that many seconds of grace and does
// not wait for it (see WaitGone). A pod that does not exist is success. With a
// precondition, a pod that differs is left alone: if only the UID was asked for,
// the pod meant is gone, which is success; if the resource version was, the
// error satisfies apierrors.IsConflict.
//
// Like the other deletions it is repeated until it succeeds, is refused for good
// or ctx ends: the caller chooses a ctx that outlives the work being cancelled
// and has a deadline.
func (c Client) Delete(ctx context.Context, pod string, grace int64, only *metav1.Preconditions) error {
	return persist(ctx, func(ctx context.Context) error { return c.deletePod(ctx, pod, grace, only) })
}

// deletePod is one try of Delete.
func (c Client) deletePod(ctx context.Context, pod string, grace int64, only *metav1.Preconditions) error {
	err := c.Kube.CoreV1().Pods(c.Namespace).Delete(ctx, pod, metav1.DeleteOptions{
		GracePeriodSeconds: &grace,
		Preconditions:      only,
	})
	if apierrors.IsConflict(err) && only != nil && only.ResourceVersion == nil {
		return nil
	}
	return c.deleted("pods", pod, err)
}

// DeleteJob deletes a Job, its dependents in the background, and its pods with
// that many seconds of grace (the garbage collector would give them their own).
// A pod of which no container has started yet has none, nor has one whose
// containers have all ended: there is nobody to use it. The kubelet would first
// end the pull of the image, which can take any time, or be busy with an end that
// is known. What does not exist is success. Both halves are tried whatever the
// other says.
func (c Client) DeleteJob(ctx context.Context, job string, grace int64) error {
	background := metav1.DeletePropagationBackground
	return persist(ctx, func(ctx context.Context) error {
		err := c.Kube.BatchV1().Jobs(c.Namespace).Delete(ctx, job, metav1.DeleteOptions{PropagationPolicy: &background})
		return c.deleted("jobs", job, err)
	}, func(ctx context.Context) error {
		return c.deletePodsOf(ctx, job, grace)
	})
}

// deletePodsOf tries once to delete the pods of a Job.
func (c Client) deletePodsOf(ctx context.Context, job string, grace int64) error {
	pods, err := c.Kube.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: batchv1.JobNameLabel + "=" + job,
	})
	if err != nil {
		return c.refused(call{"list", "pods", "of job " + job}, err)
	}
	var errs []error
	for i := range pods.Items {
		own := grace
		if !begun(&pods.Items[i]) || over(&pods.Items[i]) {
			own = 0
		}
		errs = append(errs, c.deletePod(ctx, pods.Items[i].Name, own, nil))
	}
	return errors.Join(errs...)
}

// begun reports whether any container of the pod runs or has run.
func begun(pod *corev1.Pod) bool {
	return slices.ContainsFunc(slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses), func(s corev1.ContainerStatus) bool {
		return s.State.Running != nil || s.State.Terminated != nil || s.RestartCount > 0
	})
}

// over reports whether every container of the pod has ended for good.
func over(pod *corev1.Pod) bool {
	runs := func(s corev1.ContainerStatus) bool { return s.State.Running != nil }
	waits := func(s corev1.ContainerStatus) bool { return s.State.Terminated == nil }
	return len(pod.Status.ContainerStatuses) > 0 &&
		!slices.ContainsFunc(pod.Status.ContainerStatuses, waits) &&
		!slices.ContainsFunc(pod.Status.InitContainerStatuses, runs)
}

// DeleteSecret deletes a Secret. One that does not exist is success.
func (c Client) DeleteSecret(ctx context.Context, name string) error {
	return persist(ctx, func(ctx context.Context) error {
		err := c.Kube.CoreV1().Secrets(c.Namespace).Delete(ctx, name, metav1.DeleteOptions{})
		return c.deleted("secrets", name, err)
	})
}

// deleted turns the answer to a deletion into its error.
func (c Client) deleted(resource, name string, err error) error {
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return c.refused(call{"delete", resource, name}, err)
}

// tryTimeout bounds one try of a deletion: a dead connection must not use up
// the time of those that follow.
const tryTimeout = 3 * time.Second

// persist makes every one of the deletions, in order, and again those that did
// not succeed, until none is left that could or ctx ends. The error joins their
// last ones.
func persist(ctx context.Context, deletions ...func(context.Context) error) error {
	errs := make([]error, len(deletions))
	settled := make([]bool, len(deletions))
	for pause := retries(); ; {
		for i, remove := range deletions {
			if !settled[i] {
				errs[i] = try(ctx, remove)
				settled[i] = errs[i] == nil || denied(errs[i])
			}
		}
		if !slices.Contains(settled, false) || !sleep(ctx, pause.Step()) {
			return errors.Join(errs...)
		}
	}
}

// try gives one request its time.
func try(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return request(ctx)
}

// denied reports whether a deletion that failed with err will never succeed.
func denied(err error) bool {
	return final(err) || apierrors.IsConflict(err) || apierrors.IsBadRequest(err)
}
