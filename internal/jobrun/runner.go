package jobrun

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/extension"
	"kiln/internal/metrics"
	"kiln/internal/podoptions"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// Pods is what a job needs of the cluster, as [podrun.Client] does it.
type Pods interface {
	CreateSecret(ctx context.Context, secret *corev1.Secret) (podrun.Object, error)
	DeleteSecret(ctx context.Context, secret podrun.Object) error
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	DeletePod(ctx context.Context, pod podrun.Object, mark podrun.Mark, grace int64) error
	Marked(ctx context.Context, mark podrun.Mark) ([]corev1.Pod, error)
	Watch(ctx context.Context, pod string, onChange podrun.OnChange) error
	Events(ctx context.Context, kind, name string) []corev1.Event
}

// State remembers over a restart what the job of this runner has.
type State interface {
	NoteJob(record spool.JobRecord) error
	NotedJob() (record spool.JobRecord, noted bool, err error)
	ForgetJob() error
}

// Options are what a [Runner] works with.
type Options struct {
	Pods  Pods
	State State
	// Namespace is where the objects are made.
	Namespace string
	// Template is the operator's, or nil.
	Template *extension.Template
	// Anywhere lets job pods run on other nodes than the runner's.
	Anywhere bool
	// PendingTimeout bounds the time until a job's containers run.
	PendingTimeout time.Duration
	// PullSecret is the name of the Secret with which nodes pull images that are not
	// kiln's; empty for none.
	PullSecret string
	// Allow are the repositories that the operator's credentials are used for in pulls.
	Allow registry.Allow
	// Policy is what the operator lets the options of a job container ask for.
	Policy podoptions.Policy
	// Images tells of the images of job containers; nil where nobody is asked.
	Images Images
	// Services runs the services of jobs; nil where there can be none.
	Services Services
	// Metrics counts; nil counts nothing.
	Metrics *metrics.Metrics
}

// validate says what is missing or makes no sense.
func (o *Options) validate() error {
	var errs []error
	for what, wrong := range map[string]bool{
		"no cluster to run jobs in":        o.Pods == nil,
		"nothing to remember objects with": o.State == nil,
		"no namespace":                     o.Namespace == "",
		"no time for a job to start":       o.PendingTimeout <= 0,
	} {
		if wrong {
			errs = append(errs, errors.New("run jobs: "+what))
		}
	}
	return errors.Join(errs...)
}

// Runner prepares jobs, one at a time, and cleans up after them. It is safe for
// concurrent use.
type Runner struct {
	options Options
	turn    chan struct{} // holds a token while nobody changes what the job has
}

// New returns a runner; the error names every option that cannot be used.
func New(options Options) (*Runner, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	r := &Runner{options: options, turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	return r, nil
}

// take waits for the turn to change what the job has; give ends it.
func (r *Runner) take(ctx context.Context) (give func(), err error) {
	select {
	case <-r.turn:
		return func() { r.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Call is one call of the runner about its job.
type Call struct {
	// ID is the request's, which workflow code chooses: it is a label of objects and
	// no part of a name.
	ID string
	// Runner is the runner pod.
	Runner runnerpod.Self
	// Log is the author's, Times are the call's, Logger is the operator's log of it.
	Log    *steplog.Log
	Times  *steplog.Times
	Logger *zap.Logger
	// Entered returns the mark of the agent that has answered the shim in the job
	// container, empty before; nil where nobody says that.
	Entered func() string
}
