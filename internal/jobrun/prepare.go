package jobrun

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/spool"
	"kiln/internal/steplog"
	"kiln/internal/workpod"
)

// preparation is a job on its way to its pod. It belongs to one goroutine.
type preparation struct {
	runner *Runner
	call   Call
	asked  hook.Job
	shim   spool.Job
	record spool.JobRecord // what the state has of it
	grace  int64           // of its pods, in seconds: none while nothing runs in them
}

// Prepare makes the pod of a job and returns the document that the runner is to read,
// once the containers run. shim is what the shim knows of the job. With an error
// nothing of the job is left, as far as the cluster lets that be done.
func (r *Runner) Prepare(ctx context.Context, call Call, asked hook.Job, shim *spool.Job) (json.RawMessage, error) {
	if err := check(shim); err != nil {
		return nil, err
	}
	give, err := r.take(ctx)
	if err != nil {
		return nil, err
	}
	defer give()
	if err := r.clear(ctx, call); err != nil {
		return nil, fmt.Errorf("remove what an earlier job of this runner left: %w", err)
	}
	p := &preparation{runner: r, call: call, asked: asked, shim: *shim, record: spool.JobRecord{Request: call.ID}}
	response, err := p.run(ctx)
	if err != nil {
		p.undo()
		return nil, err
	}
	return response.JSON()
}

// check refuses what no shim sends.
func check(shim *spool.Job) error {
	if shim == nil {
		return failure.New(failure.BadRequest, "kiln: the request does not say where the job's own directory is: use kiln-hook and kilnd of one release")
	}
	if decoded, err := hex.DecodeString(shim.Dir); err != nil || len(decoded) != 16 || strings.ToLower(shim.Dir) != shim.Dir {
		return failure.New(failure.BadRequest, "kiln: the job's directory has a name that kiln-hook does not give, %q", shim.Dir)
	}
	return nil
}

// run makes the pod and waits for it.
func (p *preparation) run(ctx context.Context) (job.Response, error) {
	if p.asked.Container == nil || len(p.asked.Services) > 0 {
		return job.Response{}, failure.New(failure.BadRequest, "kiln: the services of a job cannot be run here")
	}
	p.group("Starting job container")
	defer p.endGroup()
	p.call.Log.Line("kiln: image %s", steplog.OneLine(p.asked.Container.Container.Image))
	spec := p.spec()
	pod, err := p.make(ctx, &spec)
	if err != nil {
		return job.Response{}, err
	}
	running, err := p.follow(pod).run(ctx)
	if err != nil {
		return job.Response{}, err
	}
	p.grace = podGrace
	p.call.Times.Mark("start")
	p.call.Log.Line("kiln: %s", p.call.Times)
	p.record.Ready = true
	if err := p.note(); err != nil {
		return job.Response{}, err
	}
	return job.Respond(spec, running.Status.PodIP), nil
}

// group opens a group of the log, as hosted runners have it.
func (p *preparation) group(title string) { p.call.Log.Line("::group::%s", title) }

func (p *preparation) endGroup() { p.call.Log.Line("::endgroup::") }

// spec collects what the job's objects are made of.
func (p *preparation) spec() job.Spec {
	runner := p.call.Runner
	labels := label.Of(nil, p.call.ID, label.RoleJob)
	spec := job.Spec{
		Name:             newName(),
		Namespace:        p.runner.options.Namespace,
		Container:        *p.asked.Container,
		Dir:              p.shim.Dir,
		Door:             []byte(newSecret()),
		Claim:            runner.Claim,
		WorkMount:        runner.WorkMount,
		NodeName:         runner.NodeName,
		Arch:             runtime.GOARCH,
		Tolerations:      runner.Tolerations,
		SELinux:          runner.SELinux,
		SELinuxChange:    runner.SELinuxChange,
		ImagePullSecrets: p.pullSecrets(),
		Labels:           labels,
		OwnerReferences:  []metav1.OwnerReference{runner.Owner()},
	}
	if p.runner.options.Anywhere {
		spec.NodeName = ""
	}
	return spec
}

// newName returns a name for objects that nobody can foresee.
func newName() string { return "kiln-job-" + spool.NewID() }

// newSecret returns a secret of 256 bits, as text.
func newSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	return hex.EncodeToString(secret)
}

// make makes the Secrets and the pod, and returns the pod.
func (p *preparation) make(ctx context.Context, spec *job.Spec) (*corev1.Pod, error) {
	pull, err := job.PullSecret(*spec, spec.Name+"-pull", p.containers())
	if err != nil {
		return nil, err
	}
	if pull != nil {
		spec.ImagePullSecrets = append([]corev1.LocalObjectReference{{Name: pull.Name}}, spec.ImagePullSecrets...)
	}
	secret, skipped, err := job.Secret(*spec)
	if err != nil {
		return nil, err
	}
	p.tell(skipped)
	pod, err := p.pod(*spec)
	if err != nil {
		return nil, err
	}
	return pod, p.create(ctx, pod, secret, pull)
}

// containers are all containers of the job.
func (p *preparation) containers() []hook.JobContainer {
	var all []hook.JobContainer
	if p.asked.Container != nil {
		all = append(all, *p.asked.Container)
	}
	return append(all, p.asked.Services...)
}

// tell says what the job container goes without.
func (p *preparation) tell(skipped []string) {
	if len(skipped) > 0 {
		p.call.Log.Line("::warning::kiln: these environment variables have names that Kubernetes refuses and are not set: %s", hook.EscapeData(strings.Join(skipped, ", ")))
	}
	_, other := workpod.Shared(p.asked.Container.Container.SystemMountVolumes, p.call.Runner.WorkMount)
	for _, mount := range other {
		p.call.Log.Debug("not mounted, since it does not lie below the work folder %s: %q at %q", p.call.Runner.WorkMount, mount.SourceVolumePath, mount.TargetVolumePath)
	}
}

// pod is the job's pod, with the operator's template.
func (p *preparation) pod(spec job.Spec) (*corev1.Pod, error) {
	pod, err := job.Pod(spec)
	if err != nil {
		return nil, err
	}
	ignored, err := p.runner.options.Template.Apply(&pod.Spec, &pod.ObjectMeta)
	if err != nil {
		return nil, err
	}
	if len(ignored) > 0 {
		p.call.Logger.Warn("the hook template sets what belongs to jobs", zap.Strings("ignored", ignored))
	}
	return pod, nil
}

// create writes down what is made, and makes it: the Secrets before the pod that
// wants them. A nil Secret is none.
func (p *preparation) create(ctx context.Context, pod *corev1.Pod, secrets ...*corev1.Secret) error {
	p.record.Pods = []spool.Kept{{Name: pod.Name}}
	for _, secret := range secrets {
		if secret != nil {
			p.record.Secrets = append(p.record.Secrets, spool.Kept{Name: secret.Name})
		}
	}
	if err := p.note(); err != nil {
		return err
	}
	for i := range p.record.Secrets {
		kept := &p.record.Secrets[i]
		made, err := p.runner.options.Pods.CreateSecret(ctx, secrets[i])
		if err != nil {
			return fmt.Errorf("create the job's Secret: %w", err)
		}
		kept.UID = string(made.UID)
	}
	made, err := p.runner.options.Pods.CreatePod(ctx, pod)
	if err != nil {
		return fmt.Errorf("create the job's pod: %w", err)
	}
	p.record.Pods[0].UID = string(made.UID)
	return nil
}

// note remembers what the job has, or is about to have.
func (p *preparation) note() error { return p.runner.options.State.NoteJob(p.record) }

// undo deletes what was made of a job that is not prepared.
func (p *preparation) undo() {
	if len(p.record.Pods)+len(p.record.Secrets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	err := p.runner.remove(ctx, p.call, p.record, p.grace)
	if err == nil {
		err = p.runner.options.State.ForgetJob()
	}
	p.runner.failed(p.call, err)
}

// mark tells the pods of the runner's jobs from others.
func mark(call Call) podrun.Mark {
	return podrun.Mark{Labels: map[string]string{label.Role: label.RoleJob}, Owner: call.Runner.Owner().UID}
}
