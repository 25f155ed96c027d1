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
	err := c.Kube.Pods(c.Namespace).Delete(ctx, pod, metav1.DeleteOptions{
		GracePeriodSeconds: &grace,
		Preconditions:      only,
	})
	if apierrors.IsConflict(err) && only != nil && only.ResourceVersion == nil {
		return nil
	}
	return c.deleted("pods", Object{Name: pod}, err)
}

// DeleteJob deletes a Job, its dependents in the background, and its pods with
// that many seconds of grace (the garbage collector would give them their own).
// A pod of which no container has started yet has none, nor has one whose
// containers have all ended: there is nobody to use it. The kubelet would first
// end the pull of the image, which can take any time, or be busy with an end that
// is known. What does not exist is success, and so is what has the name without
// being the caller's: it is left alone. Both halves are tried whatever the other
// says.
func (c Client) DeleteJob(ctx context.Context, job Object, mark Mark, grace int64) error {
	ours := false
	if err := persist(ctx, func(ctx context.Context) (err error) {
		job, ours, err = c.identify(ctx, job, mark)
		return err
	}); err != nil || !ours {
		return err
	}
	return persist(ctx, func(ctx context.Context) error {
		return c.deleteJob(ctx, job)
	}, func(ctx context.Context) error {
		return c.deletePodsOf(ctx, job, grace)
	})
}

// deleteJob tries once to delete a Job that was identified. Another one of its
// name stays.
func (c Client) deleteJob(ctx context.Context, job Object) error {
	if job.UID == "" {
		return nil // there is none, or its pods are all that is left of it
	}
	background := metav1.DeletePropagationBackground
	err := c.Kube.Jobs(c.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: job.precondition(),
	})
	return c.deleted("jobs", job, err)
}

// deletePodsOf tries once to delete the pods of a Job.
func (c Client) deletePodsOf(ctx context.Context, job Object, grace int64) error {
	pods, err := c.Kube.Pods(c.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: batchv1.JobNameLabel + "=" + job.Name,
	})
	if err != nil {
		return c.refused(call{"list", "pods", "of job " + job.Name}, err)
	}
	var errs []error
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !job.belongs(pod.ObjectMeta) {
			continue
		}
		own := grace
		if !begun(pod) || over(pod) {
			own = 0
		}
		errs = append(errs, c.deletePod(ctx, pod.Name, own, &metav1.Preconditions{UID: &pod.UID}))
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

// DeleteSecret deletes a Secret. One that does not exist is success, and so is
// another one of its name, which stays. Nothing about a Secret is read, for which
// the caller needs no right: where the UID is not known, the name has to be one
// that nobody else can have given.
func (c Client) DeleteSecret(ctx context.Context, secret Object) error {
	return persist(ctx, func(ctx context.Context) error {
		err := c.Kube.Secrets(c.Namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{Preconditions: secret.precondition()})
		return c.deleted("secrets", secret, err)
	})
}

// deleted turns the answer to a deletion into its error. A conflict says that
// another object has the name.
func (c Client) deleted(resource string, object Object, err error) error {
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) && object.UID != "" {
		return nil
	}
	return c.refused(call{"delete", resource, object.Name}, err)
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
