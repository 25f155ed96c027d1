package workpod

import (
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/registry"
)

// MayPull reports whether the operator's credentials may be used to pull an image that
// a workflow names. One whose name cannot be read gets none; the node says what is
// wrong with it.
func MayPull(allow registry.Allow, reference string) bool {
	parsed, err := name.ParseReference(reference)
	return err == nil && allow.Allows(parsed.Context())
}

// WithSecret adds the Secret called name, if there is one, to those that are
// inherited. It may be among them already, and the list is one of names.
func WithSecret(inherited []corev1.LocalObjectReference, name string) []corev1.LocalObjectReference {
	all := slices.Clone(inherited)
	if own := (corev1.LocalObjectReference{Name: name}); name != "" && !slices.Contains(all, own) {
		all = append(all, own)
	}
	return all
}
