package action

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/hook"
)

// ContainerName is the name of the action's container, the stock hook's name
// for it.
const ContainerName = "job"

// Step is everything that a step's objects are made of.
type Step struct {
	// Name is the Job's, its pod's prefix, and the Secret's: at most 63
	// characters of a DNS label.
	Name string
	// Namespace is the runner pod's.
	Namespace string
	// Image is the reference that the node pulls.
	Image string
	// Container is the step as the runner sent it.
	Container hook.Container
	// Claim is the persistent volume claim of the work folder, and WorkMount
	// where the runner container mounts it.
	Claim     string
	WorkMount string
	// NodeName is the node that the pod must run on.
	NodeName string
	// Arch is the value of kubernetes.io/arch that the pod needs.
	Arch string
	// Tolerations and ImagePullSecrets are the runner pod's.
	Tolerations      []corev1.Toleration
	ImagePullSecrets []corev1.LocalObjectReference
	// Labels and OwnerReferences go on every object, the labels on the Job's
	// pod too.
	Labels          map[string]string
	OwnerReferences []metav1.OwnerReference
}

// meta is the metadata of the Job and the Secret.
func (s Step) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:            s.Name,
		Namespace:       s.Namespace,
		Labels:          s.Labels,
		OwnerReferences: s.OwnerReferences,
	}
}
