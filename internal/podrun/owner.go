package podrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// AddOwner makes owner one of the owners of the pod with that name and UID, so
// that it stays as long as any of them does. An owner that it has already
// changes nothing. A pod that is gone or was replaced is ErrGone.
//
// It is a strategic merge patch, which adds to the list by the owners' UIDs; a
// JSON merge patch would replace the others.
func (c Client) AddOwner(ctx context.Context, pod string, uid types.UID, owner metav1.OwnerReference) error {
	err := c.patchOwners(ctx, pod, ownersPatch{UID: uid, OwnerReferences: []any{owner}})
	if apierrors.IsConflict(err) { // the UID is the only precondition
		return fmt.Errorf("%w: another pod has the name %s", ErrGone, pod)
	}
	return err
}

// Release gives up the pod with that name and UID for one of its owners: it is
// deleted at once if no other owner is left, else only the owner's entry goes.
// A pod that is gone, was replaced, or does not have the owner is success.
//
// The deletion is for the very state that was read, so that an owner who comes
// in between keeps the pod. Like Delete it is repeated until ctx ends.
func (c Client) Release(ctx context.Context, pod string, uid, owner types.UID) error {
	return persist(ctx, func(ctx context.Context) error {
		for {
			err := c.release(ctx, pod, uid, owner)
			if !apierrors.IsConflict(err) || ctx.Err() != nil {
				return err
			}
		}
	})
}

// release is one try of Release; a conflict asks for another.
func (c Client) release(ctx context.Context, name string, uid, owner types.UID) error {
	pod, err := c.Pod(ctx, name)
	switch {
	case errors.Is(err, ErrGone):
		return nil
	case err != nil:
		return err
	case pod.UID != uid || !Owned(pod, owner):
		return nil
	case len(pod.OwnerReferences) == 1:
		return c.deletePod(ctx, name, 0, &metav1.Preconditions{UID: &uid, ResourceVersion: &pod.ResourceVersion})
	}
	err = c.patchOwners(ctx, name, ownersPatch{
		UID:             uid,
		ResourceVersion: pod.ResourceVersion,
		OwnerReferences: []any{map[string]any{"$patch": "delete", "uid": owner}},
	})
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// Owned reports whether owner is one of the pod's owners.
func Owned(pod *corev1.Pod, owner types.UID) bool {
	for _, reference := range pod.OwnerReferences {
		if reference.UID == owner {
			return true
		}
	}
	return false
}

// ownersPatch changes the owners of a pod. UID and resource version are
// preconditions: the API server refuses to change them
// (k8s.io/apiserver pkg/registry/rest/update.go).
type ownersPatch struct {
	UID             types.UID `json:"uid"`
	ResourceVersion string    `json:"resourceVersion,omitempty"`
	OwnerReferences []any     `json:"ownerReferences"`
}

// patchOwners sends the patch.
func (c Client) patchOwners(ctx context.Context, pod string, patch ownersPatch) error {
	body, err := json.Marshal(map[string]any{"metadata": patch})
	if err != nil {
		return fmt.Errorf("encode the owners of pod %s: %w", pod, err)
	}
	_, err = c.Kube.CoreV1().Pods(c.Namespace).Patch(ctx, pod, types.StrategicMergePatchType, body, metav1.PatchOptions{})
	return c.refused(call{"patch", "pods", pod}, err)
}

// Admitted returns pod as the API server would store it, defaults and the
// changes of admission webhooks included, without creating it.
func (c Client) Admitted(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	trial := pod.DeepCopy()
	trial.Name, trial.GenerateName = "", pod.Name+"-"
	made, err := c.Kube.CoreV1().Pods(c.Namespace).Create(ctx, trial, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return made, c.refused(call{"create", "pods", pod.Name}, err)
}

// PodsWith lists the pods that have the label with that value.
func (c Client) PodsWith(ctx context.Context, label, value string) ([]corev1.Pod, error) {
	selector := label + "=" + value
	list, err := c.Kube.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, c.refused(call{"list", "pods", "with " + selector}, err)
	}
	return list.Items, nil
}
