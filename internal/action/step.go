package action

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/hook"
)

// ContainerName is the name of the action's container, the stock hook's name
// for it.
const ContainerName = "job"

// Step is everything that a step's objects are made of.
type Step struct {
	// Name is the Job's and its pod's prefix: at most 63 characters of a DNS
	// label.
	Name string
	// SecretName is the Secret's; empty means Name.
	SecretName string
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
	// NodeName is the node that the pod must run on; empty means any.
	NodeName string
	// Arch is the value of kubernetes.io/arch that the pod needs; empty means
	// any.
	Arch string
	// Tolerations and ImagePullSecrets are the runner pod's.
	Tolerations      []corev1.Toleration
	ImagePullSecrets []corev1.LocalObjectReference
	// HostAliases are names of hosts that the action finds.
	HostAliases []corev1.HostAlias
	// SELinux and SELinuxChange are the runner's, whose volume the pod shares;
	// nil leaves them to the cluster.
	SELinux       *corev1.SELinuxOptions
	SELinuxChange *corev1.PodSELinuxChangePolicy
	// Labels and OwnerReferences go on every object, the labels on the Job's
	// pod too.
	Labels          map[string]string
	OwnerReferences []metav1.OwnerReference
}

// meta is the metadata of an object of the step, which shares nothing with s.
func (s Step) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:            name,
		Namespace:       s.Namespace,
		Labels:          maps.Clone(s.Labels),
		OwnerReferences: slices.Clone(s.OwnerReferences),
	}
}

// secretName is the name of the step's Secret.
func (s Step) secretName() string { return cmp.Or(s.SecretName, s.Name) }
