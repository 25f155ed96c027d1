package actionrun

import (
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
)

// pullSecrets are the Secrets with which a node pulls an image.
//
// The registry's goes with what kiln built alone: a workflow that names an image
// would else run any that it can read. A ready image has the rights of a base
// image: the runner pod's own Secrets and the one for pulls, and those for the
// repositories of KILN_PULL_ALLOW only.
func (a *Action) pullSecrets(image Image) []corev1.LocalObjectReference {
	inherited := a.step.Runner.PullSecrets
	switch {
	case image.Pushed != "":
		return withSecret(inherited, a.runner.options.RegistrySecret)
	case !a.runner.mayPull(image.Reference):
		return nil
	}
	return withSecret(inherited, a.runner.options.PullSecret)
}

// mayPull reports whether credentials may be used to pull an image. One whose
// name cannot be read gets none; the node says what is wrong with it.
func (r *Runner) mayPull(reference string) bool {
	parsed, err := name.ParseReference(reference)
	return err == nil && r.options.Allow.Allows(parsed.Context())
}

// withSecret adds the Secret called name, if there is one, to those that are
// inherited. It may be among them already, and the list is one of names.
func withSecret(inherited []corev1.LocalObjectReference, name string) []corev1.LocalObjectReference {
	all := slices.Clone(inherited)
	if own := (corev1.LocalObjectReference{Name: name}); name != "" && !slices.Contains(all, own) {
		all = append(all, own)
	}
	return all
}
