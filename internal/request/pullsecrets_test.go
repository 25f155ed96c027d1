package request

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// The Secret with which a node pulls kiln's image is often the registry's too.
func TestPullSecrets(t *testing.T) {
	one, two := corev1.LocalObjectReference{Name: "one"}, corev1.LocalObjectReference{Name: "two"}
	for name, tc := range map[string]struct {
		inherited []corev1.LocalObjectReference
		registry  string
		want      []corev1.LocalObjectReference
	}{
		"none":      {nil, "", nil},
		"registry":  {nil, "one", []corev1.LocalObjectReference{one}},
		"inherited": {[]corev1.LocalObjectReference{one}, "", []corev1.LocalObjectReference{one}},
		"both":      {[]corev1.LocalObjectReference{one}, "two", []corev1.LocalObjectReference{one, two}},
		"the same":  {[]corev1.LocalObjectReference{one, two}, "one", []corev1.LocalObjectReference{one, two}},
	} {
		if diff := cmp.Diff(tc.want, pullSecrets(tc.inherited, tc.registry)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
