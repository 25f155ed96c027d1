package request

import (
	"context"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/actionrun"
	"kiln/internal/config"
	"kiln/internal/event"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/label"
	"kiln/internal/metrics"
	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// Options are what a [Handler] works with.
type Options struct {
	// Operator is the operator's.
	Operator Operator
	// Pods reaches the cluster.
	Pods podrun.Client
	// Runner reads the runner pod; builds from a shell have none.
	Runner *runnerpod.Reader
	// State keeps the contexts, and remembers objects.
	State *spool.State
	// Metrics counts; nil counts nothing.
	Metrics *metrics.Metrics
	// Events tells of builds on the runner pod; nil tells nothing.
	Events *event.Recorder
	// Logger is the operator's log.
	Logger *zap.Logger
}

// Handler runs steps. It is safe for concurrent use.
type Handler struct {
	operator Operator
	pods     podrun.Client
	runner   *runnerpod.Reader
	state    *spool.State
	metrics  *metrics.Metrics
	events   *event.Recorder
	logger   *zap.Logger
	actions  *actionrun.Runner
	decoding sync.Mutex // held while a request is read

	holds     holds
	executors executorMemo
	users     usersMemo
}

// New returns a handler. The error names every option that cannot be used.
func New(o Options) (*Handler, error) {
	actions, err := actionrun.New(actionOptions(o))
	if err != nil {
		return nil, err
	}
	return &Handler{
		operator: o.Operator, pods: o.Pods, runner: o.Runner, state: o.State, metrics: o.Metrics, events: o.Events, logger: o.Logger,
		actions: actions,
	}, nil
}

// actionOptions are those of the runs of actions.
func actionOptions(o Options) actionrun.Options {
	settings := o.Operator.Settings
	options := actionrun.Options{
		Pods:           o.Pods,
		State:          o.State,
		Namespace:      o.Pods.Namespace,
		Template:       o.Operator.ActionTemplate,
		Anywhere:       settings.Placement == config.PlacementAnywhere,
		PendingTimeout: settings.PendingTimeout,
		StepTimeout:    settings.StepTimeout,
		RegistrySecret: settings.RegistrySecret,
		PullSecret:     settings.PullSecret,
		Allow:          o.Operator.Allow,
		Metrics:        o.Metrics,
		Logger:         o.Logger,
	}
	if client := o.Operator.Registry; client != nil {
		options.Registry = client
	}
	return options
}

// cleanupTimeout bounds the deletion of a step's objects. It does not end
// with the step's own context.
const cleanupTimeout = 10 * time.Second

// step is one container step on its way, or one build from a shell.
type step struct {
	handler   *Handler
	id        string // the request's
	asked     spool.Request
	staged    func() (*os.File, error) // opens the staged context
	owner     metav1.OwnerReference    // with whom build pods go
	container hook.Container
	self      runnerpod.Self
	log       *steplog.Log
	times     *steplog.Times
	logger    *zap.Logger
	planned   *plan         // what the step's image is made of, where it is built
	missing   string        // the digest of an image that the nodes do not find
	made      []spool.Made  // in the cluster, as the state has it
	standing  podrun.Object // the owner, where it was made for this build alone
}

// Handle carries claim out and returns the exit code for the shim. The step's
// log is complete when it returns. When ctx ends the step is cancelled, its
// cause told to the author, and everything of it deleted.
func (h *Handler) Handle(ctx context.Context, claim *spool.Claim) int {
	container, bad := h.decode(claim)
	s := &step{
		handler: h,
		id:      claim.ID,
		staged:  claim.Context,
		times:   steplog.NewTimes(h.metrics),
		logger:  h.logger.With(zap.String("request", claim.ID)),

		asked:     claim.Request,
		log:       steplog.New(claim.Log, claim.Request.StopToken, claim.Request.Debug),
		container: container,
	}
	s.times.Queued(claim.Waited())
	h.holds.begin(claim.ID)
	defer h.holds.end(claim.ID)
	code, err := s.run(ctx, bad)
	if err != nil {
		err = s.blame(ctx, err)
		code = max(code, 1)
	}
	fields := append(s.times.Fields(), zap.Int("exit_code", code), zap.String("reason", string(failure.Of(err))), zap.Error(err))
	s.logger.Info("step ended", fields...)
	h.metrics.StepEnded(s.kind(), code, err)
	return code
}

// blame tells the author why the step failed, which is why it was cancelled if it
// was, and returns that.
func (s *step) blame(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	s.log.Error(err)
	return err
}

// kind is what the step asked for, as far as that was understood.
func (s *step) kind() metrics.Kind {
	switch {
	case s.container.Dockerfile != "":
		return metrics.KindDockerfile
	case s.container.Image != "":
		return metrics.KindImage
	}
	return metrics.KindUnknown
}

// decode reads the request of a claim, one at a time: what it is read from takes
// several times its size, and lets go of it before the next. The error says why it
// is no request.
func (h *Handler) decode(claim *spool.Claim) (hook.Container, error) {
	h.decoding.Lock()
	defer h.decoding.Unlock()
	claim.Load()
	if claim.Bad != nil {
		return hook.Container{}, failure.New(failure.BadRequest, "kiln: the daemon cannot read the request: %w", claim.Bad)
	}
	container, err := hook.Input{Command: hook.RunContainerStep, Args: claim.Request.Args}.Container()
	claim.Request.Args = nil
	if err != nil {
		return hook.Container{}, failure.New(failure.BadRequest, "kiln: %w", err)
	}
	return container, nil
}

// run does the work of Handle; bad says why the request is none.
func (s *step) run(ctx context.Context, bad error) (int, error) {
	if bad != nil {
		return 1, bad
	}
	var err error
	if s.self, err = s.handler.runner.Read(ctx); err != nil {
		return 1, err
	}
	run := s.handler.actions.Action(actionrun.Step{
		ID: s.id, Name: s.actionName(), Container: s.container, Runner: s.self, Log: s.log, Times: s.times, Logger: s.logger,
	})
	s.owner = s.self.Owner()
	ready := image{reference: s.container.Image}
	if s.container.Dockerfile != "" {
		if ready, err = s.build(ctx); err != nil {
			return 1, err
		}
	}
	code, err := s.runImage(ctx, run, ready)
	if err != nil {
		return code, err
	}
	return code, s.log.Err()
}

// labels returns the labels of an object of this step.
func (s *step) labels(role string) map[string]string {
	return label.Of(s.container.EnvironmentVariables, s.id, role)
}
