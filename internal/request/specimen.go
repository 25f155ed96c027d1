package request

import (
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/action"
	"kiln/internal/preflight"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
)

// Specimen is what a step makes in the cluster, of a step that nobody asked for.
type Specimen struct {
	// Build is the build pod.
	Build *corev1.Pod
	// Action is the Job of the action.
	Action *batchv1.Job
}

// Specimen returns the objects of a step in the runner pod self, with the
// operator's settings and templates: what the cluster lets through of them, it
// lets through of every step's. The Job's image does not exist. It makes
// nothing.
func (h *Handler) Specimen(self runnerpod.Self) (Specimen, error) {
	s := &step{
		handler: h,
		id:      spool.NewID(),
		asked:   spool.Request{Dockerfile: "Dockerfile"},
		owner:   self.Owner(),
		self:    self,
	}
	p := &plan{file: &preflight.Dockerfile{}, executor: h.Settings.KanikoImage}
	p.push, p.pull = h.Names.Image("kiln-specimen", "r-specimen")
	build, err := s.buildPod(p, nil)
	if err != nil {
		return Specimen{}, err
	}
	job, err := action.Job(s.actionStep(newName(), image{reference: repository(p.pull) + "@sha256:" + strings.Repeat("0", 64), built: true}))
	if err != nil {
		return Specimen{}, err
	}
	if _, err := h.ActionTemplate.Apply(job); err != nil {
		return Specimen{}, err
	}
	return Specimen{Build: build, Action: job}, nil
}
