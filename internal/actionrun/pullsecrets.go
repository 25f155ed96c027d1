package actionrun

import (
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/workpod"
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
		return workpod.WithSecret(inherited, a.runner.options.RegistrySecret)
	case !workpod.MayPull(a.runner.options.Allow, image.Reference):
		return nil
	}
	return workpod.WithSecret(inherited, a.runner.options.PullSecret)
}
