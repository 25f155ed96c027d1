package workpod

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
