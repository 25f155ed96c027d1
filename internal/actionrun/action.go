package actionrun

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/action"
	"kiln/internal/hook"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
	"kiln/internal/steplog"
	"kiln/internal/workpod"
)

// Step is the step that an action is run for.
type Step struct {
	// ID is the request's, which workflow code chooses: it is a label of objects and
	// no part of a name.
	ID string
	// Name is how the author knows the action.
	Name string
	// Container is what the runner asks for.
	Container hook.Container
	// Hosts are the names of the job's services.
	Hosts []corev1.HostAlias
	// Runner is the runner pod.
	Runner runnerpod.Self
	// Log is the author's, Times are the step's, Logger is the operator's log of it.
	Log    *steplog.Log
	Times  *steplog.Times
	Logger *zap.Logger
	// Outlet is where the action can print to directly; nil for nowhere.
	Outlet *Outlet
	// Earlier says that an earlier run of the daemon may have begun the action: what it
	// made is gone on with.
	Earlier bool
	// Ended, unless it is nil, is told how the action ended before what was made for it
	// is deleted.
	Ended func(code int, err error)
	// Over, unless it is nil, is told the same behind Ended where the action's container
	// has ended and its Secret is gone. Job and pod, of which nobody has any use then, are
	// deleted after that, and before anything is made for another action. A step that was
	// cancelled is told nothing before all is deleted.
	Over func(code int, err error)
}

// Image is what an action runs.
type Image struct {
	// Reference is how nodes pull it.
	Reference string
	// Pushed is where kiln pushed it, by digest; empty for an image that is a
	// workflow's own choice.
	Pushed string
	// Reused says that it was built for an earlier step, and may have gone since.
	Reused bool
	// Start is how its containers start; nil where that is not known yet.
	Start *registry.Start
}

// Action is the action of one step. It is not safe for concurrent use.
type Action struct {
	runner *Runner
	step   Step
	made   []spool.Made // in the cluster, as the state has it
	bare   string       // the name of what was made whose Secret was deleted
	empty  bool         // nothing runs in its pod any more, whatever the cluster says
	ends   func()       // ends the deletion that goes on behind the action; nil for none
}

// Action returns the action of a step, without those mounts that it cannot have.
func (r *Runner) Action(step Step) *Action {
	shared, other := workpod.Shared(step.Container.SystemMountVolumes, step.Runner.WorkMount)
	step.Container.SystemMountVolumes = shared
	if len(other) > 0 {
		var left []string
		for _, mount := range other {
			left = append(left, fmt.Sprintf("%q at %q", mount.SourceVolumePath, mount.TargetVolumePath))
		}
		step.Log.Debug("not mounted, since it does not lie below the work folder %s: %s", step.Runner.WorkMount, strings.Join(left, ", "))
	}
	return &Action{runner: r, step: step}
}

// ErrImageMissing says that a reused image is not where the nodes pull it.
var ErrImageMissing = errors.New("the image is not in the registry")

// Run runs an image as a Job and returns the action's exit code; with an error it is
// no 0. It may be called again where the error is [ErrImageMissing]. What it makes is
// deleted when it returns.
func (a *Action) Run(ctx context.Context, image Image) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		if a.ends != nil {
			a.ends()
		}
	}()
	code, err := a.once(ctx, image)
	if errors.Is(err, errNoOutlet) {
		a.step.Log.Debug("%s: it runs once more without", err)
		a.step.Outlet = nil
		return a.once(ctx, image)
	}
	return code, err
}

// once is Run up to its first end.
func (a *Action) once(ctx context.Context, image Image) (int, error) {
	name := newName()
	found, err := a.findEarlier(ctx)
	switch {
	case err != nil:
		return 1, err
	case found != nil && found.job != nil:
		return a.goOn(ctx, found, image.Reused)
	case found != nil:
		name = found.made.Name
	}
	spec := a.spec(name, image)
	job, err := a.runner.job(spec, a.step.Logger)
	if err != nil {
		return 1, err
	}
	if err := a.prepareStart(ctx, image, job); err != nil {
		return 1, err
	}
	secret, skipped, err := action.Secret(spec)
	if err != nil {
		return 1, err
	}
	if len(skipped) > 0 {
		a.step.Log.Line("::warning::kiln: these environment variables have names that Kubernetes refuses and are not set: %s", hook.EscapeData(strings.Join(skipped, ", ")))
	}
	return a.runJob(ctx, secret, job, image.Reused)
}

// job is the Job of a specification, with the operator's template.
func (r *Runner) job(spec action.Step, logger *zap.Logger) (*batchv1.Job, error) {
	job, err := action.Job(spec)
	if err != nil {
		return nil, err
	}
	ignored, err := r.options.Template.Apply(&job.Spec.Template.Spec, &job.ObjectMeta, &job.Spec.Template.ObjectMeta)
	if err != nil {
		return nil, err
	}
	if len(ignored) > 0 {
		logger.Warn("the hook template sets what belongs to actions", zap.Strings("ignored", ignored))
	}
	return job, nil
}

// runJob creates the step's Secret and Job, sees the Job's pod through and
// deletes both. What an error leaves unclear is deleted too.
func (a *Action) runJob(ctx context.Context, secret *corev1.Secret, job *batchv1.Job, reused bool) (int, error) {
	pods := a.runner.options.Pods
	if err := a.runner.clearing.wait(ctx); err != nil {
		return 1, err
	}
	known := spool.Made{Name: secret.Name}
	if err := a.note(known); err != nil {
		return 1, err
	}
	a.bare = "" // an earlier run's of that name may have been deleted
	kept, err := pods.CreateSecret(ctx, secret)
	known.SecretUID = string(kept.UID)
	if !podrun.Refused(err) {
		defer func() { a.deleteSecret(known) }()
	}
	if err != nil {
		return 1, fmt.Errorf("create the step's Secret: %w", err)
	}
	if err := a.note(known); err != nil {
		return 1, err
	}
	made, err := pods.CreateJob(ctx, job)
	if a.step.Earlier && apierrors.IsAlreadyExists(err) { // an earlier run's request has come after all
		made, err = pods.Job(ctx, job.Name, a.mark())
	}
	if err == nil {
		known.JobUID = string(made.UID)
	}
	if !podrun.Refused(err) {
		defer func() { a.deleteJob(known) }()
	}
	if err != nil {
		return 1, fmt.Errorf("create the action's Job: %w", err)
	}
	if err := a.note(known); err != nil {
		return 1, err
	}
	return a.see(ctx, a.follow(made, reused), known)
}

// spec collects what the action's Job is made of.
func (a *Action) spec(name string, image Image) action.Step {
	runner := a.step.Runner
	return action.Step{
		Name:             name,
		Namespace:        a.runner.options.Namespace,
		Image:            image.Reference,
		Container:        a.step.Container,
		Claim:            runner.Claim,
		WorkMount:        runner.WorkMount,
		NodeName:         a.nodeName(),
		Arch:             runtime.GOARCH,
		Tolerations:      runner.Tolerations,
		SELinux:          runner.SELinux,
		SELinuxChange:    runner.SELinuxChange,
		ImagePullSecrets: a.pullSecrets(image),
		HostAliases:      a.step.Hosts,
		Labels:           label.Of(a.step.Container.EnvironmentVariables, a.step.ID, label.RoleAction),
		OwnerReferences:  []metav1.OwnerReference{runner.Owner()},
	}
}

// nodeName is the node that actions must run on, or empty.
func (a *Action) nodeName() string {
	if a.runner.options.Anywhere {
		return ""
	}
	return a.step.Runner.NodeName
}

// note remembers what is made, before it is made: a daemon that comes after this
// one finds it. Without that the step cannot go on.
func (a *Action) note(made spool.Made) error {
	for i := range a.made {
		if a.made[i].Name == made.Name {
			a.made[i] = made
			return a.runner.options.State.Note(a.step.ID, a.made)
		}
	}
	a.made = append(a.made, made)
	return a.runner.options.State.Note(a.step.ID, a.made)
}

// cleanupTimeout bounds the deletion of a step's objects. It does not end
// with the step's own context.
const cleanupTimeout = 10 * time.Second

// cleanup deletes one object of the step with a context of its own: the
// step's may have ended.
func (a *Action) cleanup(what string, remove func(context.Context) error) (done bool) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	if err := remove(ctx); err != nil {
		a.runner.options.Metrics.CleanupFailed()
		a.step.Logger.Warn("cleanup failed, the owner reference will collect it", zap.String("what", what), zap.Error(err))
		return false
	}
	return true
}
