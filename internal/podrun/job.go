package podrun

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Job returns the Job of that name that has the mark, ErrGone where there is none. It
// asks until it is answered, is refused for good or ctx ends.
func (c Client) Job(ctx context.Context, name string, mark Mark) (*batchv1.Job, error) {
	var job *batchv1.Job
	err := persist(ctx, func(ctx context.Context) error {
		found, err := c.Kube.Jobs(c.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && mark.On(found.ObjectMeta) {
			job = found
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return c.refused(call{"get", "jobs", name}, err)
	})
	if err == nil && job == nil {
		err = ErrGone
	}
	return job, err
}

// Finished reports whether the cluster has ended a Job.
func Finished(job *batchv1.Job) bool {
	for _, condition := range job.Status.Conditions {
		ended := condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed || condition.Type == batchv1.JobFailureTarget
		if ended && condition.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
