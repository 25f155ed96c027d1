package jobrun

import (
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/workpod"
)

// pullSecrets are the operator's Secrets with which a node pulls the images of a job:
// those that a ready image of an action has, which is none for repositories outside
// KILN_PULL_ALLOW. They are a pod's, so that each of its images has to be among those.
func (p *preparation) pullSecrets() []corev1.LocalObjectReference {
	for _, container := range p.containers() {
		if !workpod.MayPull(p.runner.options.Allow, container.Container.Image) {
			return nil
		}
	}
	return workpod.WithSecret(p.call.Runner.PullSecrets, p.runner.options.PullSecret)
}
