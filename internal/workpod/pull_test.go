package workpod_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/registry"
	"kiln/internal/workpod"
)

// The Secret with which a node pulls kiln's image is often the registry's too.
func TestWithSecret(t *testing.T) {
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
		if diff := cmp.Diff(tc.want, workpod.WithSecret(tc.inherited, tc.registry)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestMayPull: what has no name has no right.
func TestMayPull(t *testing.T) {
	allow, err := registry.ParseAllow([]string{"ghcr.io/acme/**"})
	if err != nil {
		t.Fatal(err)
	}
	for reference, want := range map[string]bool{
		"ghcr.io/acme/app:v1": true, "ghcr.io/other/app": false, "alpine": false, "ghcr.io/acme/UPPER": false,
	} {
		if got := workpod.MayPull(allow, reference); got != want {
			t.Errorf("%s: %v", reference, got)
		}
	}
}
