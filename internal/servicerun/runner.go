package servicerun

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/extension"
	"kiln/internal/forward"
	"kiln/internal/job"
	"kiln/internal/jobrun"
	"kiln/internal/podoptions"
	"kiln/internal/podrun"
	"kiln/internal/registry"
	"kiln/internal/spool"
	"kiln/internal/steplog"
	"kiln/internal/workpod"
)

// Pods is what services need of the cluster, as [podrun.Client] does it.
type Pods interface {
	Watch(ctx context.Context, pod string, onChange podrun.OnChange) error
	Events(ctx context.Context, kind, name string) []corev1.Event
	Tail(ctx context.Context, pod, container string, lines int64, limit int) ([]byte, error)
	Attach(ctx context.Context, pod, container string, stdin io.Reader) error
}

// Registry tells what an image says of a service, and who its users are, as
// [registry.Client] does.
type Registry interface {
	Serving(ctx context.Context, reference, arch string, login *authn.AuthConfig) (registry.Serving, error)
	jobrun.Files
}

// State remembers the services of this runner's job over a restart.
type State interface {
	NoteServices(record spool.ServicesRecord) error
	NotedServices() (spool.ServicesRecord, error)
	ForgetServices() error
}

// Options are what a [Runner] works with.
type Options struct {
	Pods  Pods
	State State
	// Registry is nil where none is asked.
	Registry Registry
	// Policy is what options may ask for.
	Policy podoptions.Policy
	// Template is the operator's, or nil.
	Template *extension.Template
	// Ports forwards ports of this pod. Nil is a [forward.Local].
	Ports Ports
	// PendingTimeout bounds the time until services start.
	PendingTimeout time.Duration
}

// Ports lets ports of this pod lead to the services of one job, as [forwarder.Client]
// does.
type Ports interface {
	Open(rules []forward.Rule) ([]forward.Rule, error)
	Keep() error
	Resume(rules []forward.Rule) error
	Lost() error
	Close()
}

// Runner runs the services of jobs, of one at a time. It is safe for concurrent use.
type Runner struct{ options Options }

// New returns a runner.
func New(options Options) *Runner {
	if options.Ports == nil {
		options.Ports = &forward.Local{}
	}
	return &Runner{options: options}
}

// Start implements [jobrun.Services].
func (r *Runner) Start(ctx context.Context, begin jobrun.Beginning) (jobrun.Started, error) {
	r.Close() // of a job that was not ended
	b := &begun{runner: r, of: begin}
	begin.Call.Log.Line("::group::Starting service containers")
	defer begin.Call.Log.Line("::endgroup::")
	data, err := b.plan(ctx)
	if err != nil {
		return nil, err
	}
	b.keep()
	if err := r.options.State.NoteServices(b.record); err != nil {
		return nil, err
	}
	if err := b.makeSecret(ctx, data); err != nil {
		return nil, b.forget(err)
	}
	if err := b.makePods(ctx); err != nil {
		return nil, b.forget(err)
	}
	return b, nil
}

// forget forgets services that will not run, since of err: nothing is to be shown of
// them any more.
func (b *begun) forget(err error) error {
	if failed := b.runner.options.State.ForgetServices(); failed != nil {
		b.of.Call.Logger.Warn("the services of the job are not forgotten", zap.Error(failed))
	}
	return err
}

// keep fills the record with what is known before anything is made.
func (b *begun) keep() {
	for _, s := range b.list {
		b.record.Services = append(b.record.Services, spool.KeptService{Title: s.Title, Pod: s.pod, Container: s.Named.Container})
	}
}

// makeSecret makes the Secret with the services' variables.
func (b *begun) makeSecret(ctx context.Context, data map[string][]byte) error {
	if err := workpod.CheckSecret(data, "services"); err != nil {
		return err
	}
	return b.of.Maker.Secret(ctx, &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: b.secret(), Namespace: b.of.Spec.Namespace,
			Labels: b.of.Spec.Labels, OwnerReferences: b.of.Spec.OwnerReferences,
		},
		Type: corev1.SecretTypeOpaque, Immutable: new(true), Data: data,
	})
}

// makePods makes the pods with services alone, first those whose addresses others are
// to know.
func (b *begun) makePods(ctx context.Context) error {
	var alone []*planned
	for _, s := range b.list {
		b.of.Call.Log.Line("kiln: service %s: image %s", s.Title, steplog.OneLine(s.Service.Container.Image))
		if s.alone {
			alone = append(alone, s)
			b.apart(s)
			if err := b.makePod(ctx, s.pod, s.parts); err != nil {
				return err
			}
		}
	}
	shared := together(b.list, b.shared())
	if b.of.Beside || len(shared.Containers) > 0 {
		if err := b.wait(ctx, alone, located); err != nil {
			return err
		}
	}
	if len(shared.Containers) == 0 {
		return nil
	}
	shared.Hostname = hostname(b.list, b.shared())
	shared.Aliases = aliases(b.list, b.shared(), shared.Hostname)
	return b.makePod(ctx, b.shared(), shared)
}

// makePod makes a pod, with the operator's template.
func (b *begun) makePod(ctx context.Context, name string, services job.Services) error {
	pod := job.ServicesPod(b.of.Spec, name, services)
	if err := jobrun.ApplyTemplate(b.runner.options.Template, pod, b.of.Call); err != nil {
		return err
	}
	_, err := b.of.Maker.Pod(ctx, pod)
	return err
}

// Beside implements [jobrun.Started].
func (b *begun) Beside() job.Services {
	if !b.of.Beside {
		return job.Services{}
	}
	beside := together(b.list, b.of.Spec.Name)
	beside.Aliases = aliases(b.list, b.of.Spec.Name, "")
	return beside
}

// Ready implements [jobrun.Started].
func (b *begun) Ready(ctx context.Context, _ string) ([]job.Service, error) {
	err := b.tell(ctx)
	if err == nil {
		err = b.await(ctx)
	}
	if err != nil {
		b.showOthers(ctx)
		return nil, b.forget(err)
	}
	if !b.of.Beside {
		if err := b.forward(); err != nil {
			return nil, b.forget(err)
		}
	}
	for i, s := range b.list {
		b.record.Services[i].IP, b.record.Services[i].Hosts = s.ip, s.Hosts
	}
	if err := b.runner.options.State.NoteServices(b.record); err != nil {
		return nil, err
	}
	return b.respond(), b.runner.options.Ports.Keep()
}

// Stop implements [jobrun.Services].
func (r *Runner) Stop(ctx context.Context, call jobrun.Call) {
	record, err := r.options.State.NotedServices()
	if err == nil {
		r.showLogs(context.WithoutCancel(ctx), call, record.Services, logLines)
		call.Log.Flush() // after a restart nobody knows of them any more
	}
	r.Close()
	if err := errors.Join(err, r.options.State.ForgetServices()); err != nil {
		call.Logger.Warn("the services of the job are not forgotten", zap.Error(err))
	}
}

// Hosts are the names of the services of this runner's job, for a container of its own;
// none where there is no such job.
func (r *Runner) Hosts() ([]corev1.HostAlias, error) {
	record, err := r.options.State.NotedServices()
	if err != nil {
		return nil, err
	}
	var list []corev1.HostAlias
	for _, s := range record.Services {
		for _, host := range s.Hosts {
			list = append(list, corev1.HostAlias{IP: s.IP, Hostnames: []string{host}})
		}
	}
	return list, nil
}
