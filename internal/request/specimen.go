package request

import (
	"strings"

	"go.uber.org/zap"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/actionrun"
	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
	"kiln/internal/servicerun"
	"kiln/internal/spool"
)

// Specimen is what a step makes in the cluster, of a step that nobody asked for.
type Specimen struct {
	// Build is the build pod.
	Build *corev1.Pod
	// Action is the Job of the action.
	Action *batchv1.Job
	// Job is the pod of a job with a container.
	Job *corev1.Pod
}

// SpecimenOf returns the objects of a step in the runner pod self of a namespace, with
// the operator's settings and templates: what the cluster lets through of them, it
// lets through of every step's. The Job's image does not exist. It makes nothing.
func SpecimenOf(operator Operator, namespace string, self runnerpod.Self) (Specimen, error) {
	options := Options{Operator: operator, Pods: podrun.Client{Namespace: namespace}, Logger: zap.NewNop()}
	id := spool.NewID()
	build, err := buildOptions(options, options.Pods).Specimen(id, self)
	if err != nil {
		return Specimen{}, err
	}
	const tag = "r-specimen"
	push, pull := operator.Names.Image("kiln-specimen", tag)
	none := "@sha256:" + strings.Repeat("0", 64)
	image := actionrun.Image{Reference: strings.TrimSuffix(pull, ":"+tag) + none, Pushed: strings.TrimSuffix(push, ":"+tag) + none}
	action, err := actionOptions(options, options.Pods).Specimen(actionrun.Step{ID: id, Runner: self}, image)
	if err != nil {
		return Specimen{}, err
	}
	job, err := jobOptions(options, options.Pods, servicerun.New(serviceOptions(options, options.Pods))).Specimen(id, self, image.Reference)
	if err != nil {
		return Specimen{}, err
	}
	return Specimen{Build: build, Action: action, Job: job}, nil
}
