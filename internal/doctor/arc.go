package doctor

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
)

// oldestARC is the oldest Actions Runner Controller that kiln supports.
const oldestARC = "0.12"

// arcFindings reads the release of Actions Runner Controller from the label that
// it gives runner pods.
func arcFindings(pod *corev1.Pod) []Finding {
	release := pod.Labels["app.kubernetes.io/version"]
	if _, scaled := pod.Labels["actions.github.com/scale-set-name"]; !scaled {
		return skip("the runner pod has no labels of Actions Runner Controller")
	}
	if release == "" {
		return skip("the runner pod does not tell the release of Actions Runner Controller")
	}
	return releaseFindings(release)
}

// releaseFindings judges a release of Actions Runner Controller.
func releaseFindings(release string) []Finding {
	have, err := version.ParseGeneric(release)
	if err != nil {
		return skip("the runner pod calls the release of Actions Runner Controller " + release)
	}
	if have.LessThan(version.MustParseGeneric(oldestARC)) {
		return fail("Actions Runner Controller is "+release+", and kiln needs "+oldestARC+" or newer", "upgrade both of its charts to "+oldestARC+" or newer")
	}
	return ok("Actions Runner Controller " + release)
}
