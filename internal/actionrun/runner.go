package actionrun

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/extension"
	"kiln/internal/metrics"
	"kiln/internal/podlog"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/spool"
)

// Pods is what the run of an action needs of the cluster, as [podrun.Client] does it.
type Pods interface {
	CreateSecret(ctx context.Context, secret *corev1.Secret) (podrun.Object, error)
	DeleteSecret(ctx context.Context, secret podrun.Object) error
	CreateJob(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error)
	Job(ctx context.Context, name string, mark podrun.Mark) (*batchv1.Job, error)
	DeleteJob(ctx context.Context, job podrun.Object, mark podrun.Mark, grace int64) error
	WatchJobPod(ctx context.Context, job string, onChange podrun.OnChange) error
	FollowFrom(ctx context.Context, pod, container string, from podlog.Position, sink podlog.Sink) error
	Events(ctx context.Context, kind, name string) []corev1.Event
}

// Registry tells how the containers of an image start, as [registry.Client] does.
type Registry interface {
	Image(ctx context.Context, reference string) (registry.Image, error)
	Start(ctx context.Context, reference, arch string) (registry.Start, error)
	Files(ctx context.Context, reference, arch string, pushed bool, files ...string) (map[string]string, error)
}

// State remembers over a restart what was made for a request.
type State interface {
	Note(id string, made []spool.Made) error
	Noted(id string) ([]spool.Made, error)
}

// Options are what a [Runner] works with.
type Options struct {
	Pods  Pods
	State State
	// Registry is nil where none is asked.
	Registry Registry
	// Namespace is where the objects are made.
	Namespace string
	// Template is the operator's, or nil.
	Template *extension.Template
	// Anywhere lets actions run on other nodes than the runner's.
	Anywhere bool
	// PendingTimeout bounds the time until the action starts, StepTimeout the time
	// from then on; 0 is no bound.
	PendingTimeout, StepTimeout time.Duration
	// RegistrySecret and PullSecret are the names of the Secrets with which nodes
	// pull what kiln built, and other images; empty for none.
	RegistrySecret, PullSecret string
	// Allow are the repositories that credentials are used for in pulls.
	Allow registry.Allow
	// Metrics counts; nil counts nothing.
	Metrics *metrics.Metrics
	// Logger is the operator's log.
	Logger *zap.Logger
}

// validate says what is missing or makes no sense.
func (o *Options) validate() error {
	var errs []error
	for what, wrong := range map[string]bool{
		"no cluster to run actions in":     o.Pods == nil,
		"nothing to remember objects with": o.State == nil,
		"no log for the operator":          o.Logger == nil,
		"no namespace":                     o.Namespace == "",
		"no time for an action to start":   o.PendingTimeout <= 0,
		"a negative time for an action":    o.StepTimeout < 0,
	} {
		if wrong {
			errs = append(errs, errors.New("run actions: "+what))
		}
	}
	return errors.Join(errs...)
}

// Runner runs actions. It is safe for concurrent use.
type Runner struct {
	options  Options
	mute     mutes
	clearing clearing
	// startTimeout is the constant of that name.
	startTimeout time.Duration
}

// New returns a runner; the error names every option that cannot be used.
func New(options Options) (*Runner, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	return &Runner{options: options, startTimeout: startTimeout}, nil
}
