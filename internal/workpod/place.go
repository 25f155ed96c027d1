package workpod

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Place is where a pod runs, and what it has of the runner's.
type Place struct {
	// Claim is the persistent volume claim of the work folder.
	Claim string
	// NodeName and Arch require the node and its architecture; empty is any.
	NodeName, Arch string
	// Tolerations and ImagePullSecrets are the pod's.
	Tolerations      []corev1.Toleration
	ImagePullSecrets []corev1.LocalObjectReference
	// SELinux and SELinuxChange are the runner's, whose volume the pod shares; nil
	// leaves them to the cluster.
	SELinux       *corev1.SELinuxOptions
	SELinuxChange *corev1.PodSELinuxChangePolicy
}

// PodSpec returns a pod at p without containers: it runs once, has no token of the
// cluster, and passes Pod Security's baseline level. Its containers have grace seconds
// between SIGTERM and SIGKILL. It shares nothing with p.
func PodSpec(p Place, grace int64) corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: new(grace),
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		SecurityContext: &corev1.PodSecurityContext{
			SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			SELinuxOptions:      p.SELinux.DeepCopy(),
			SELinuxChangePolicy: p.SELinuxChange,
		},
		ImagePullSecrets: slices.Clone(p.ImagePullSecrets),
		Tolerations:      slices.Clone(p.Tolerations),
		NodeSelector:     NodeSelector(p.Arch),
		Affinity:         SameNode(p.NodeName),
		Volumes:          []corev1.Volume{WorkVolume(p.Claim)},
	}
}

// Literal keeps the kubelet from expanding $(NAME) in text, which Docker does
// not do: "$$" stands for one "$" (Kubernetes docs, "Define dependent
// environment variables").
func Literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// NodeSelector requires nodes that can run images of an architecture, a value of
// kubernetes.io/arch; empty is any.
func NodeSelector(arch string) map[string]string {
	if arch == "" {
		return nil
	}
	return map[string]string{corev1.LabelArchStable: arch}
}

// SameNode requires the node by name and not by its host name label, which
// differs from it on some clouds. A ReadWriteOnce work volume can be mounted
// nowhere else. An empty name requires none.
func SameNode(name string) *corev1.Affinity {
	if name == "" {
		return nil
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{{
					Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{name},
				}},
			}},
		},
	}}
}
