package podrun

import (
	"context"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Object is an object that its caller made, or was about to make.
type Object struct {
	Name string
	// UID is the object's; empty where the answer to its creation was lost. What
	// has the name then is read and held against a [Mark] before it is deleted.
	UID types.UID
}

// precondition keeps a deletion from another object that has the name.
func (o Object) precondition() *metav1.Preconditions {
	if o.UID == "" {
		return nil
	}
	return &metav1.Preconditions{UID: &o.UID}
}

// Mark is by what a caller's objects are told from those of others.
type Mark struct {
	// Labels are on each of them.
	Labels map[string]string
	// Owner is one of their owners; empty where they have none for certain.
	Owner types.UID
}

// On reports whether an object has the mark.
func (m Mark) On(meta metav1.ObjectMeta) bool {
	for name, value := range m.Labels {
		if meta.Labels[name] != value {
			return false
		}
	}
	return m.Owner == "" || slices.ContainsFunc(meta.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == m.Owner })
}

// identify fills in the UID of a Job that has only a name; it stays empty where
// there is no such Job. It reports false for a Job of somebody else.
func (c Client) identify(ctx context.Context, job Object, mark Mark) (Object, bool, error) {
	if job.UID != "" {
		return job, true, nil
	}
	found, err := c.Kube.Jobs(c.Namespace).Get(ctx, job.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return job, true, nil
	case err != nil:
		return job, false, c.refused(call{"get", "jobs", job.Name}, err)
	}
	return Object{Name: job.Name, UID: found.UID}, mark.On(found.ObjectMeta), nil
}

// belongs reports whether a pod with the label of a Job is that Job's: anybody
// who may create pods can give one that label.
func (o Object) belongs(pod metav1.ObjectMeta) bool {
	owner := metav1.GetControllerOf(&pod)
	return owner != nil && owner.Kind == "Job" && owner.APIVersion == batchv1.SchemeGroupVersion.String() &&
		owner.Name == o.Name && (o.UID == "" || owner.UID == o.UID)
}
