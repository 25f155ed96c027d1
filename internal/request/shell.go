package request

import (
	"context"
	"io"
	"os"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/imagebuild"
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
	image, err := s.build(ctx, metav1.OwnerReference{})
	if err == nil {
		s.log.Line("kiln: %s", s.times)
		err = s.log.Err()
	}
	if err != nil {
		err = s.blame(ctx, err)
	}
	fields := append(s.times.Fields(), zap.String("reason", string(failure.Of(err))), zap.Error(err))
	s.logger.Info("build ended", fields...)
	return image.Reference, err
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
	if err := s.check(ctx); err != nil {
		return s.blame(ctx, err)
	}
	s.log.Line("kiln: nothing in %s is refused", steplog.OneLine(s.dockerfile().File))
	return s.log.Err()
}

// check reads the context and the Dockerfile.
func (s *step) check(ctx context.Context) error {
	source, err := s.accept()
	if err != nil {
		return err
	}
	return imagebuild.Check(ctx, source, s.handler.operator.Flavor, s.handler.operator.Settings.Assemble == config.AssembleOn, s.log)
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
