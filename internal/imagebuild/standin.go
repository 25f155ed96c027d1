package imagebuild

import (
	"context"
	"fmt"
	"math"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
	"kiln/internal/label"
	"kiln/internal/podrun"
)

// ensureOwner makes sure that there is something for build pods to go with. The
// runner pod will not do for a build from a shell: there may be none, and the
// daemon in it gives up what it finds of the pod's builds and did not begin.
func (o *order) ensureOwner(ctx context.Context) error {
	if o.owner.UID != "" {
		return nil
	}
	job, err := o.builder.options.Pods.CreateJob(ctx, o.standInJob())
	switch {
	case podrun.Refused(err):
		return failure.New(failure.Of(err), "kiln: create the Job that the build pod belongs to: %w", err)
	case err != nil:
		o.standIn = podrun.Object{Name: o.standInName()}
		return fmt.Errorf("create the Job that the build pod belongs to: %w", err)
	}
	o.standIn = podrun.Object{Name: job.Name, UID: job.UID}
	o.owner = metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID}
	return nil
}

// disown deletes what ensureOwner made.
func (o *order) disown() {
	if o.standIn.Name == "" {
		return
	}
	o.cleanup("Job of the build", func(ctx context.Context) error {
		return o.builder.options.Pods.DeleteJob(ctx, o.standIn, podrun.Mark{Labels: o.labels(label.RoleOwner)}, 0)
	})
}

// standInName is the name of the Job that stands in for a runner pod. The id of
// an order is no request's.
func (o *order) standInName() string { return "kiln-" + o.who.ID }

// standInJob is a Job that starts no pod. Kubernetes ends it at its deadline and
// then deletes it, and with it what belongs to it alone.
func (o *order) standInJob() *batchv1.Job {
	longest := maxTurns * (o.builder.options.Settings.PendingTimeout + o.builder.options.Settings.BuildTimeout)
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.standInName(), Namespace: o.builder.options.Namespace, Labels: o.labels(label.RoleOwner),
			Annotations: map[string]string{label.Runner: o.who.Runner.Name},
		},
		Spec: batchv1.JobSpec{
			Parallelism:             new(int32(0)),
			ActiveDeadlineSeconds:   new(int64(math.Ceil(longest.Seconds()))),
			TTLSecondsAfterFinished: new(int32(0)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy:                corev1.RestartPolicyNever,
				AutomountServiceAccountToken: new(false),
				Containers:                   []corev1.Container{{Name: "none", Image: o.who.Runner.Image}},
			}},
		},
	}
	if o.who.Runner.UID != "" {
		job.OwnerReferences = []metav1.OwnerReference{o.who.Runner.Owner()}
	}
	return job
}
