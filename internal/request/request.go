package request

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"kiln/internal/actionrun"
	"kiln/internal/ahead"
	"kiln/internal/config"
	"kiln/internal/event"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/imagebuild"
	"kiln/internal/jobrun"
	"kiln/internal/metrics"
	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
	"kiln/internal/servicerun"
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
	// Ports forwards ports of this pod to services; nil forwards them in this process.
	Ports servicerun.Ports
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
	runner   *runnerpod.Reader
	state    *spool.State
	metrics  *metrics.Metrics
	logger   *zap.Logger
	builds   *imagebuild.Builder
	actions  *actionrun.Runner
	jobs     *jobrun.Runner
	services *servicerun.Runner
	ahead    *ahead.Builds
	decoding sync.Mutex // held while a request is read
}

// New returns a handler. The error names every option that cannot be used.
func New(o Options) (*Handler, error) {
	wished := &ahead.Builds{}
	pods := ahead.Pods{Cluster: o.Pods, Builds: wished}
	builds, err := imagebuild.New(buildOptions(o, pods))
	actions, actionsErr := actionrun.New(actionOptions(o, pods))
	services := servicerun.New(serviceOptions(o, pods))
	jobs, jobsErr := jobrun.New(jobOptions(o, pods, services))
	if err := errors.Join(err, actionsErr, jobsErr); err != nil {
		return nil, err
	}
	if err := services.Resume(); err != nil {
		o.Logger.Warn("the job of this runner has lost its services at localhost", zap.Error(err))
	}
	return &Handler{
		operator: o.Operator, runner: o.Runner, state: o.State, metrics: o.Metrics, logger: o.Logger,
		builds: builds, actions: actions, jobs: jobs, services: services, ahead: wished,
	}, nil
}

// buildOptions are those of the builds.
func buildOptions(o Options, pods ahead.Cluster) imagebuild.Options {
	options := imagebuild.Options{
		Pods:       pods,
		Namespace:  o.Pods.Namespace,
		Settings:   buildSettings(o.Operator.Settings),
		Flavor:     o.Operator.Flavor,
		Names:      o.Operator.Names,
		Mirrors:    o.Operator.Mirrors,
		Insecure:   o.Operator.Insecure,
		PlainLogin: o.Operator.PlainLogin,
		Proxy:      o.Operator.Proxy,
		Template:   o.Operator.BuildTemplate,
		Metrics:    o.Metrics,
		Events:     o.Events,
		Logger:     o.Logger,
	}
	if client := o.Operator.Registry; client != nil {
		options.Registry = client
	}
	return options
}

// buildSettings are those that builds use.
func buildSettings(s *config.Settings) imagebuild.Settings {
	return imagebuild.Settings{
		KanikoImage: s.KanikoImage, Executor: s.Executor, BuildRights: s.BuildRights, BuildUserns: s.BuildUserns,
		SnapshotMode: s.SnapshotMode, Tag: s.Tag, ReuseMaxAge: s.ReuseMaxAge, Assemble: s.Assemble == config.AssembleOn,
		RegistrySecret: s.RegistrySecret, PullSecret: s.PullSecret, Identity: s.CloudIdentity(),
		PullAllow: s.PullAllow, CAConfigMap: s.CAConfigMap, BuildMemory: s.BuildMemory, BuildStorage: s.BuildStorage,
		PendingTimeout: s.PendingTimeout, BuildTimeout: s.BuildTimeout,
	}
}

// actionOptions are those of the runs of actions.
func actionOptions(o Options, pods ahead.Cluster) actionrun.Options {
	settings := o.Operator.Settings
	options := actionrun.Options{
		Pods:           pods,
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

// serviceOptions are those of the services of jobs.
func serviceOptions(o Options, pods ahead.Cluster) servicerun.Options {
	options := servicerun.Options{
		Pods:           pods,
		State:          o.State,
		Policy:         o.Operator.Policy,
		Template:       o.Operator.ActionTemplate,
		Ports:          o.Ports,
		PendingTimeout: o.Operator.Settings.PendingTimeout,
	}
	if client := o.Operator.Registry; client != nil {
		options.Registry = client
	}
	return options
}

// jobOptions are those of whole jobs.
func jobOptions(o Options, pods ahead.Cluster, services *servicerun.Runner) jobrun.Options {
	settings := o.Operator.Settings
	options := jobrun.Options{
		Pods:           pods,
		State:          o.State,
		Namespace:      o.Pods.Namespace,
		Template:       o.Operator.ActionTemplate,
		Anywhere:       settings.Placement == config.PlacementAnywhere,
		PendingTimeout: settings.PendingTimeout,
		PullSecret:     settings.PullSecret,
		Allow:          o.Operator.Allow,
		Policy:         o.Operator.Policy,
		Services:       services,
		Metrics:        o.Metrics,
	}
	if client := o.Operator.Registry; client != nil {
		options.Images = client
	}
	return options
}

// discardTimeout bounds the deletion of what an earlier run of the daemon left.
const discardTimeout = 10 * time.Second

// step is one container step on its way, one call about a whole job, one build from a
// shell, or one wish.
type step struct {
	handler   *Handler
	id        string // the request's
	asked     spool.Request
	job       hook.Job                 // of prepare_job
	staged    func() (*os.File, error) // opens the staged context
	container hook.Container
	self      runnerpod.Self
	log       *steplog.Log
	times     *steplog.Times
	logger    *zap.Logger
	outlet    *actionrun.Outlet
	claim     *spool.Claim
	ahead     bool // nobody waits for it, see [Handler.Wish]
	earlier   bool // an earlier run of the daemon had begun it
	ended     bool // the state has how it ended
	told      bool // its author was told how it ended, which nothing changes any more
}

// shim is the shim behind a claim, for the run of an action.
type shim struct{ claim *spool.Claim }

// Flush implements [actionrun.Shim].
func (s shim) Flush() error { return s.claim.Log.Flush() }

// Want implements [actionrun.Shim].
func (s shim) Want() error { return s.claim.Want() }

// Way implements [actionrun.Shim].
func (s shim) Way() spool.Way { return s.claim.Way() }

// Exit implements [actionrun.Shim].
func (s shim) Exit() (code int, told bool) { return s.claim.Exit() }

// outletOf is the outlet that a request offers. One that cannot be is none.
func outletOf(claim *spool.Claim) *actionrun.Outlet {
	if asked := claim.Request.Outlet; asked != nil && asked.Valid() {
		return &actionrun.Outlet{At: *asked, Shim: shim{claim}}
	}
	return nil
}

// Handle carries claim out, or goes on with what an earlier run of the daemon had begun
// of it, and returns the exit code for the shim. The step's log is complete when it
// returns, and so is what the runner is to read, which it sets in claim, and whether
// [Handler.Discard] has to be called for what an earlier run left. When ctx ends
// the step is cancelled, its cause told to the author, and everything of it deleted.
func (h *Handler) Handle(ctx context.Context, claim *spool.Claim) int {
	s := &step{handler: h, id: claim.ID, staged: claim.Context, times: steplog.NewTimes(h.metrics), logger: h.logger.With(zap.String("request", claim.ID))}
	bad := s.decode(claim)
	s.log, s.outlet = steplog.New(claim.Log, claim.Request.StopToken, claim.Request.Debug), outletOf(claim)
	s.times.Queued(claim.Waited())
	s.remember(claim)
	code, err := s.carryOut(ctx, claim, bad)
	if err = s.settle(ctx, code, err); err != nil {
		code = s.fail(code, err)
	}
	claim.Left = s.clear() != nil
	if !s.told {
		s.report(code, err)
	}
	return code
}

// report tells the operator how the step ended.
func (s *step) report(code int, err error) {
	fields := append(s.times.Fields(), zap.Int("exit_code", code), zap.String("reason", string(failure.Of(err))), zap.Error(err))
	s.logger.Info("step ended", fields...)
	s.handler.metrics.StepEnded(s.kind(), code, err)
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
	case s.asked.Call == hook.PrepareJob:
		return metrics.KindPrepare
	case s.asked.Call == hook.CleanupJob:
		return metrics.KindCleanup
	case s.asked.Call == hook.ExplainJob:
		return metrics.KindExplain
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
func (s *step) decode(claim *spool.Claim) (err error) {
	s.handler.decoding.Lock()
	defer s.handler.decoding.Unlock()
	s.handler.load(claim)
	if claim.Bad != nil {
		return failure.New(failure.BadRequest, "kiln: the daemon cannot read the request: %w", claim.Bad)
	}
	args := claim.Request.Args
	claim.Request.Args = nil
	s.asked = claim.Request
	switch s.asked.Call {
	case "", hook.RunContainerStep:
		s.container, err = hook.Input{Command: hook.RunContainerStep, Args: args}.Container()
	case hook.PrepareJob:
		s.job, err = hook.DecodeJob(args)
	case hook.CleanupJob, hook.ExplainJob:
	default:
		err = fmt.Errorf("the daemon does not know the call %q: use kiln-hook and kilnd of one release", s.asked.Call)
	}
	if err != nil {
		return failure.New(failure.BadRequest, "kiln: %w", err)
	}
	return nil
}

// run does the work of Handle; bad says why the request is none.
func (s *step) run(ctx context.Context, claim *spool.Claim, bad error) (code int, err error) {
	if bad != nil {
		return 1, bad
	}
	if s.self, err = s.whoAmI(ctx); err != nil {
		return 1, err
	}
	if !s.earlier && s.asked.Call != hook.PrepareJob {
		s.handler.services.Tell(s.jobCall())
	}
	switch s.asked.Call {
	case hook.PrepareJob:
		claim.Response, err = s.handler.jobs.Prepare(ctx, s.jobCall(), s.job, s.asked.Job)
	case hook.CleanupJob:
		s.handler.ahead.Stop(ahead.ErrJobOver)
		s.handler.jobs.Cleanup(ctx, s.jobCall())
	case hook.ExplainJob:
		code, err = s.handler.jobs.Explain(ctx)
	default:
		code, err = s.runStep(ctx)
	}
	if err != nil {
		return code, err
	}
	return code, s.log.Err()
}

// jobCall is the step as a call about the job.
func (s *step) jobCall() jobrun.Call {
	return jobrun.Call{ID: s.id, Runner: s.self, Log: s.log, Times: s.times, Logger: s.logger, Entered: s.claim.Entered}
}

// runStep runs a container step.
func (s *step) runStep(ctx context.Context) (int, error) {
	hosts, err := s.handler.services.Hosts()
	if err != nil {
		return 1, err
	}
	run := s.handler.actions.Action(actionrun.Step{
		ID: s.id, Name: s.actionName(), Container: s.container, Hosts: hosts, Runner: s.self, Log: s.log, Times: s.times, Logger: s.logger,
		Outlet:  s.outlet,
		Earlier: s.earlier, Ended: func(code int, err error) { _ = s.settle(ctx, code, err) },
		Over: s.answer,
	})
	return s.runImage(ctx, run)
}

// runImage runs the step's image, which is built first if it is a Dockerfile's, and
// returns the action's exit code.
func (s *step) runImage(ctx context.Context, run *actionrun.Action) (int, error) {
	if s.container.Dockerfile == "" {
		return run.Run(ctx, actionrun.Image{Reference: s.container.Image})
	}
	var built actionrun.Image
	if s.recall(keptImage, &built) {
		return run.Run(ctx, built)
	}
	image, err := s.build(ctx, s.self.Owner())
	if err != nil {
		return 1, err
	}
	return s.runBuilt(ctx, run, image)
}
