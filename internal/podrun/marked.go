package podrun

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Marked lists the pods that have a mark.
func (c Client) Marked(ctx context.Context, mark Mark) ([]corev1.Pod, error) {
	list, err := c.Kube.Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.Set(mark.Labels).String()})
	if err != nil {
		return nil, c.refused(call{"list", "pods", "of this runner"}, err)
	}
	var marked []corev1.Pod
	for i := range list.Items {
		if mark.On(list.Items[i].ObjectMeta) {
			marked = append(marked, list.Items[i])
		}
	}
	return marked, nil
}

// DeletePod deletes a pod of its caller's with that many seconds of grace. What does
// not exist is success, and so is what has the name without being the caller's: it is
// left alone. It is repeated as the other deletions are.
func (c Client) DeletePod(ctx context.Context, pod Object, mark Mark, grace int64) error {
	return persist(ctx, func(ctx context.Context) error {
		if pod.UID == "" {
			found, err := c.Kube.Pods(c.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				return nil
			case err != nil:
				return c.refused(call{"get", "pods", pod.Name}, err)
			case !mark.On(found.ObjectMeta):
				return nil
			}
			pod.UID = found.UID
		}
		return c.deletePod(ctx, pod.Name, grace, pod.precondition())
	})
}
