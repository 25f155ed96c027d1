package jobrun

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/spool"
)

// Services runs the services of jobs, of one job at a time.
type Services interface {
	// Start makes what the services of a job need before the pod of its job container
	// is made. What it makes it makes with begin.Maker, so that it is deleted with the
	// job; what else it has begun when it fails it ends itself.
	Start(ctx context.Context, begin Beginning) (Started, error)
	// Stop ends what runs in this process for the job, and shows the logs of its
	// services. It comes before their pods are deleted, and also where nothing was
	// started.
	Stop(ctx context.Context, call Call)
}

// Started are the services of a job on their way.
type Started interface {
	// Beside is what they add to the pod of the job container.
	Beside() job.Services
	// Ready waits until all of them are, and returns what the runner reads of them, in
	// the order of the message. pod is that of the job container, which runs; it is
	// empty for a job without one. With an error they have ended and their logs were
	// shown.
	Ready(ctx context.Context, pod string) ([]job.Service, error)
}

// Beginning is a job whose services are to be started.
type Beginning struct {
	Call Call
	// Services are in the order of the message.
	Services []hook.JobContainer
	// Shim is what the shim knows of them.
	Shim spool.Job
	// Spec is the job's. Its name begins the names of whatever is made, and its labels,
	// owners and pull secrets are those of every pod of the job.
	Spec job.Spec
	// Beside says that there will be a job container's pod.
	Beside bool
	// Maker makes objects of the job.
	Maker Maker
}

// Maker makes objects of a job, each of which is written down before. They are deleted
// with the job.
type Maker interface {
	Pod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	Secret(ctx context.Context, secret *corev1.Secret) error
}

// Pod implements [Maker].
func (p *preparation) Pod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	at := len(p.record.Pods)
	p.record.Pods = append(p.record.Pods, spool.Kept{Name: pod.Name})
	if err := p.note(); err != nil {
		return nil, err
	}
	made, err := p.runner.options.Pods.CreatePod(ctx, pod)
	if err != nil {
		return nil, fmt.Errorf("create the job's pod: %w", err)
	}
	p.record.Pods[at].UID = string(made.UID)
	return made, nil
}

// Secret implements [Maker].
func (p *preparation) Secret(ctx context.Context, secret *corev1.Secret) error {
	at := len(p.record.Secrets)
	p.record.Secrets = append(p.record.Secrets, spool.Kept{Name: secret.Name})
	if err := p.note(); err != nil {
		return err
	}
	made, err := p.runner.options.Pods.CreateSecret(ctx, secret)
	if err != nil {
		return fmt.Errorf("create the job's Secret: %w", err)
	}
	p.record.Secrets[at].UID = string(made.UID)
	return nil
}

// startServices begins the services of the job, if it has any.
func (p *preparation) startServices(ctx context.Context, spec *job.Spec) (Started, error) {
	if len(p.asked.Services) == 0 {
		return nil, nil
	}
	started, err := p.runner.options.Services.Start(ctx, Beginning{
		Call: p.call, Services: p.asked.Services, Shim: p.shim, Spec: *spec, Beside: p.asked.Container != nil, Maker: p,
	})
	if err != nil {
		return nil, err
	}
	spec.Services = started.Beside()
	return started, nil
}

// awaitServices waits for the services of the job, if it has any.
func (p *preparation) awaitServices(ctx context.Context, started Started, pod string) ([]job.Service, error) {
	if started == nil {
		return []job.Service{}, nil
	}
	p.group("Waiting for all services to be ready")
	defer p.endGroup()
	services, err := started.Ready(ctx, pod)
	p.call.Times.Mark("services")
	return services, err
}
