package kaniko

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/preflight"
	"kiln/internal/registry"
)

// Names of the build pod's containers.
const (
	ContainerKaniko = "kaniko"
	ContainerGate   = "gate"
)

// Build is everything that a build pod is made of.
type Build struct {
	// Name and Namespace are the pod's.
	Name      string
	Namespace string
	// Labels and OwnerReferences go on the pod.
	Labels          map[string]string
	OwnerReferences []metav1.OwnerReference
	// KanikoImage is the executor's, GateImage the one that holds kilnd.
	KanikoImage    string
	GateImage      string
	GatePullPolicy corev1.PullPolicy
	// Dockerfile is its name inside the context.
	Dockerfile string
	// Push is the one reference that the build may push.
	Push string
	// Images are the external images that the Dockerfile names.
	Images []preflight.Image
	// Mirrors and Insecure are passed to the gate.
	Mirrors  registry.Mirrors
	Insecure []string
	// SecretName is the kubernetes.io/dockerconfigjson Secret for the gate, or
	// empty.
	SecretName string
	// Tolerations and ImagePullSecrets are the runner pod's.
	Tolerations      []corev1.Toleration
	ImagePullSecrets []corev1.LocalObjectReference
	// Arch is the platform to build for, as in GOARCH and kubernetes.io/arch.
	Arch string
	// Deadline is when the cluster ends the pod.
	Deadline time.Duration
	// Memory and EphemeralStorage limit the executor, as Kubernetes
	// quantities.
	Memory           string
	EphemeralStorage string
}
