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
	_, err := c.patchOwners(ctx, pod, ownersPatch{UID: uid, OwnerReferences: []any{owner}})
	if apierrors.IsConflict(err) { // the UID is the only precondition
		return fmt.Errorf("%w: another pod has the name %s", ErrGone, pod)
	}
	return err
}

// Release gives up the pod with that name and UID for one of its owners: it is
// deleted at once if no other owner is left, else only the owner's entry goes.
// A pod that is gone, was replaced, or has others for owners is success. One that nobody
// owns is deleted: whose entry went last may have died before it could do that.
//
// The deletion is for the very state that was read, so that an owner who comes
// in between keeps the pod. Like Delete it is repeated until ctx ends.
func (c Client) Release(ctx context.Context, pod string, uid, owner types.UID) error {
	r := release{Client: c, name: pod, uid: uid, owner: owner}
	return persist(ctx, r.try)
}

// release is one Release.
type release struct {
	Client
	name       string
	uid, owner types.UID
	left       bool // the owner's entry is gone by a try before
}

// try looks at the pod and does what its state asks for, and again where the
// pod changed in between: a kubelet writes into it too.
func (r *release) try(ctx context.Context) error {
	for {
		err := r.once(ctx)
		if !apierrors.IsConflict(err) {
			return err
		}
		if ctx.Err() != nil { // a conflict is no reason to give up
			return fmt.Errorf("release pod %s/%s: %w", r.Namespace, r.name, ctx.Err())
		}
	}
}

// once is one round of try.
func (r *release) once(ctx context.Context) error {
	pod, err := r.Pod(ctx, r.name)
	switch {
	case errors.Is(err, ErrGone):
		return nil
	case err != nil:
		return err
	case pod.UID != r.uid || !Owned(pod, r.owner) && !r.left && len(pod.OwnerReferences) > 0:
		return nil
	}
	// Where others are left the patch needs no state: of those who leave at
	// once, the API server tells the last one that nobody is left.
	if Owned(pod, r.owner) && len(pod.OwnerReferences) > 1 {
		patch := ownersPatch{UID: r.uid, OwnerReferences: []any{map[string]any{"$patch": "delete", "uid": r.owner}}}
		if pod, err = r.patchOwners(ctx, r.name, patch); errors.Is(err, ErrGone) {
			return nil
		} else if err != nil {
			return err
		}
		r.left = true
	}
	if len(pod.OwnerReferences) > 1 || len(pod.OwnerReferences) == 1 && r.left {
		return nil
	}
	return r.deletePod(ctx, r.name, 0, &metav1.Preconditions{UID: &r.uid, ResourceVersion: &pod.ResourceVersion})
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

// ownersPatch changes the owners of a pod. The UID is a precondition: the API
// server refuses to change it (k8s.io/apiserver pkg/registry/rest/update.go).
type ownersPatch struct {
	UID             types.UID `json:"uid"`
	OwnerReferences []any     `json:"ownerReferences"`
}

// patchOwners sends the patch and returns the pod as it is then.
func (c Client) patchOwners(ctx context.Context, pod string, patch ownersPatch) (*corev1.Pod, error) {
	body, err := json.Marshal(map[string]any{"metadata": patch})
	if err != nil {
		return nil, fmt.Errorf("encode the owners of pod %s: %w", pod, err)
	}
	patched, err := c.Kube.Pods(c.Namespace).Patch(ctx, pod, types.StrategicMergePatchType, body, metav1.PatchOptions{})
	return patched, c.refused(call{"patch", "pods", pod}, err)
}

// Admitted returns pod as the API server would store it, defaults and the
// changes of admission webhooks included, without creating it.
func (c Client) Admitted(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	trial := pod.DeepCopy()
	trial.Name, trial.GenerateName = "", pod.Name+"-"
	made, err := c.Kube.Pods(c.Namespace).Create(ctx, trial, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return made, c.refused(call{"create", "pods", pod.Name}, err)
}

// PodsWith lists the pods that have the label with that value.
func (c Client) PodsWith(ctx context.Context, label, value string) ([]corev1.Pod, error) {
	selector := label + "=" + value
	list, err := c.Kube.Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, c.refused(call{"list", "pods", "with " + selector}, err)
	}
	return list.Items, nil
}
