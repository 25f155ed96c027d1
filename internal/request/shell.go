package request

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"

	"go.uber.org/zap"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// Order is a build that somebody asks for from a shell: what a step does up to
// its image.
type Order struct {
	// ID is one that no request has, see [spool.NewID].
	ID string
	// Request names the Dockerfile and the workspace as a shim would. Its Args
	// are not looked at.
	Request spool.Request
	// Context is the file with the staged context.
	Context string
	// Self is what build pods inherit: the gate's image, pull secrets and
	// tolerations. Its Name tells followers who began a build. With a UID it is
	// the pod that the build is done in.
	Self runnerpod.Self
	// Log gets what the author of a step would see.
	Log io.Writer
}

// Build has an image built, or found, as that of a step is, and returns its
// reference by digest, as nodes pull it. The log is complete when it returns and
// ends with the error if there is one. When ctx ends the build is cancelled,
// its cause told, and everything of it deleted.
//
// What it makes belongs to a Job that runs nothing and that the cluster deletes
// by itself after a time that no build takes: where the process is killed
// without a warning, nothing stays either.
func (h *Handler) Build(ctx context.Context, order Order) (string, error) {
	s := h.stepOf(order)
	if err := h.state.Accept(s.id); err != nil {
		return "", s.blame(ctx, err)
	}
	defer func() { _ = h.state.Forget(s.id) }()
	h.holds.begin(s.id)
	defer h.holds.end(s.id)
	defer s.disown()
	ready, err := s.build(ctx)
	if err == nil {
		s.log.Line("kiln: %s", s.times)
		err = s.log.Err()
	}
	if err != nil {
		err = s.blame(ctx, err)
	}
	fields := append(s.times.Fields(), zap.String("reason", string(failure.Of(err))), zap.Error(err))
	s.logger.Info("build ended", fields...)
	return ready.reference, err
}

// Check reads the context and the Dockerfile of an order and says in its log
// what a step would be refused and warned of. It asks nobody, neither a registry
// nor the cluster, and wants of the options no more than the settings and the state.
func Check(ctx context.Context, with Options, order Order) error {
	h := &Handler{operator: with.Operator, state: with.State, metrics: with.Metrics, logger: with.Logger}
	s := h.stepOf(order)
	if err := h.state.Accept(s.id); err != nil {
		return s.blame(ctx, err)
	}
	defer func() { _ = h.state.Forget(s.id) }()
	_, read, err := s.accept()
	if err != nil {
		return s.blame(ctx, err)
	}
	s.warn(read.warnings)
	s.log.Line("kiln: nothing in %s is refused", steplog.OneLine(s.dockerfile().File))
	return s.log.Err()
}

// stepOf is the step that an order would be.
func (h *Handler) stepOf(order Order) *step {
	return &step{
		handler: h,
		id:      order.ID,
		asked:   order.Request,
		staged:  func() (*os.File, error) { return os.Open(order.Context) },
		self:    order.Self,
		log:     steplog.New(order.Log, order.Request.StopToken, order.Request.Debug),
		times:   steplog.NewTimes(h.metrics),
		logger:  h.logger.With(zap.String("request", order.ID)),
	}
}

// ensureOwner makes sure that there is something for build pods to go with. The
// runner pod will not do for a build from a shell: there may be none, and the
// daemon in it gives up what it finds of the pod's builds and did not begin.
func (s *step) ensureOwner(ctx context.Context) error {
	if s.owner.UID != "" {
		return nil
	}
	job, err := s.handler.pods.CreateJob(ctx, s.standIn())
	switch {
	case podrun.Refused(err):
		return failure.New(failure.Of(err), "kiln: create the Job that the build pod belongs to: %w", err)
	case err != nil:
		s.standing = podrun.Object{Name: s.standInName()}
		return fmt.Errorf("create the Job that the build pod belongs to: %w", err)
	}
	s.standing = podrun.Object{Name: job.Name, UID: job.UID}
	s.owner = metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID}
	return nil
}

// disown deletes what ensureOwner made.
func (s *step) disown() {
	if s.standing.Name == "" {
		return
	}
	s.cleanup("Job of the build", func(ctx context.Context) error {
		return s.handler.pods.DeleteJob(ctx, s.standing, podrun.Mark{Labels: s.labels(label.RoleOwner)}, 0)
	})
}

// standInName is the name of the Job that stands in for a runner pod. The id of
// an order is no request's.
func (s *step) standInName() string { return "kiln-" + s.id }

// standIn is a Job that starts no pod. Kubernetes ends it at its deadline and
// then deletes it, and with it what belongs to it alone.
func (s *step) standIn() *batchv1.Job {
	longest := maxTurns * (s.handler.operator.Settings.PendingTimeout + s.handler.operator.Settings.BuildTimeout)
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.standInName(), Namespace: s.handler.pods.Namespace, Labels: s.labels(label.RoleOwner),
			Annotations: map[string]string{label.Runner: s.self.Name},
		},
		Spec: batchv1.JobSpec{
			Parallelism:             new(int32(0)),
			ActiveDeadlineSeconds:   new(int64(math.Ceil(longest.Seconds()))),
			TTLSecondsAfterFinished: new(int32(0)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy:                corev1.RestartPolicyNever,
				AutomountServiceAccountToken: new(false),
				Containers:                   []corev1.Container{{Name: "none", Image: s.self.Image}},
			}},
		},
	}
	if s.self.UID != "" {
		job.OwnerReferences = []metav1.OwnerReference{s.self.Owner()}
	}
	return job
}
