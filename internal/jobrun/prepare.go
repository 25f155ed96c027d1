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

	"kiln/internal/agent"
	"kiln/internal/createoptions"
	"kiln/internal/extension"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/job"
	"kiln/internal/label"
	"kiln/internal/podoptions"
	"kiln/internal/podrun"
	"kiln/internal/registry"
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
	start  func() (registry.Start, error)
}

// Prepare makes the pod of a job and returns the document that the runner is to read,
// once the containers run. shim is what the shim knows of the job. With an error
// nothing of the job is left, as far as the cluster lets that be done.
func (r *Runner) Prepare(ctx context.Context, call Call, asked hook.Job, shim *spool.Job) (json.RawMessage, error) {
	if err := check(shim); err != nil {
		return nil, err
	}
	if len(asked.Services) > 0 && r.options.Services == nil {
		return nil, failure.New(failure.Misconfigured, "kiln: nothing runs the services of jobs here")
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

// run makes what the job has and waits for it.
func (p *preparation) run(ctx context.Context) (job.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	spec, err := p.spec(ctx)
	if err != nil {
		return job.Response{}, err
	}
	p.look(ctx)
	if err := p.pullSecret(ctx, &spec); err != nil {
		return job.Response{}, err
	}
	services, err := p.startServices(ctx, &spec)
	if err != nil {
		return job.Response{}, err
	}
	response := job.Response{}
	if p.asked.Container != nil {
		if response, err = p.runContainer(ctx, spec); err != nil {
			if services != nil && ctx.Err() == nil { // their logs may say why
				p.runner.options.Services.Stop(ctx, p.call)
			}
			return job.Response{}, err
		}
	}
	response.Context.Services, err = p.awaitServices(ctx, services, response.State.JobPod)
	if err != nil {
		return job.Response{}, err
	}
	p.call.Log.Once("times", "kiln: "+p.call.Times.String())
	p.record.Ready = true
	return response, p.note()
}

// runContainer makes the job container's pod and waits until it runs.
func (p *preparation) runContainer(ctx context.Context, spec job.Spec) (job.Response, error) {
	p.group("Starting job container")
	defer p.endGroup()
	p.call.Log.Line("kiln: image %s", steplog.OneLine(p.asked.Container.Container.Image))
	if spec.AgentImage != "" {
		p.call.Log.Line("kiln: the work volume is mounted noexec: the job container's process comes from kiln's image, with an init container")
	}
	pod, err := p.make(ctx, spec)
	if err != nil {
		return job.Response{}, err
	}
	address, err := p.follow(pod, agent.MarkOf(spec.Door).String()).run(ctx)
	if err != nil {
		return job.Response{}, err
	}
	p.grace = podGrace
	p.call.Times.Mark("start")
	return job.Respond(spec, address), nil
}

// group opens a group of the log, as hosted runners have it.
func (p *preparation) group(title string) { p.call.Log.Line("::group::%s", title) }

func (p *preparation) endGroup() { p.call.Log.Line("::endgroup::") }

// spec collects what the job's objects are made of. The error is about what the author
// asks of the job container and cannot have.
func (p *preparation) spec(ctx context.Context) (job.Spec, error) {
	runner := p.call.Runner
	spec := job.Spec{
		Name:             newName(),
		Namespace:        p.runner.options.Namespace,
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
		Labels:           label.Of(nil, p.call.ID, label.RoleJob),
		OwnerReferences:  []metav1.OwnerReference{runner.Owner()},
	}
	if p.runner.options.Anywhere {
		spec.NodeName = ""
	}
	if p.asked.Container == nil {
		return spec, nil
	}
	spec.Container = *p.asked.Container
	if p.shim.NoExec {
		spec.AgentImage = runner.Image
	}
	return spec, p.settings(ctx, &spec)
}

// settings reads the options of the job container.
func (p *preparation) settings(ctx context.Context, spec *job.Spec) (err error) {
	asked := spec.Container.Container
	spec.Options, err = createoptions.Parse(asked.CreateOptions, createoptions.Outside{Files: p.shim.Files, Env: p.shim.Env})
	if err != nil {
		return failure.New(failure.BadRequest, "%w", err)
	}
	if spec.Options.Warning != "" {
		p.call.Log.Line("::warning::kiln: %s", hook.EscapeData(spec.Options.Warning))
	}
	if name := spec.Options.Hostname; name != "" && job.Hostname(name) == "" {
		p.call.Log.Line("::warning::kiln: options: --hostname %s: no effect, for a pod's name has letters, digits and - alone", hook.EscapeData(name))
	}
	if limit := spec.BadMemory(); limit != "" {
		p.call.Log.Line("::warning::kiln: no program in Go starts with GOMEMLIMIT=%s, which is malformed (2GiB is not): the job container does not have it", hook.EscapeData(limit))
	}
	place := podoptions.Place{
		Name: job.ContainerName, Work: spec.WorkMount, Arch: spec.Arch, Policy: p.runner.options.Policy,
	}
	if images := p.runner.options.Images; images != nil {
		place.Numbers = UserNumbers(ctx, images, spec.Container, spec.Arch)
	}
	spec.Settings, err = podoptions.Of(spec.Options, asked.UserMountVolumes, place)
	return err
}

// newName returns a name for objects that nobody can foresee.
func newName() string { return "kiln-job-" + spool.NewID() }

// newSecret returns a secret of 256 bits, as text.
func newSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	return hex.EncodeToString(secret)
}

// pullSecret makes the Secrets with which nodes pull the job's images, where the job
// has logins for them.
func (p *preparation) pullSecret(ctx context.Context, spec *job.Spec) error {
	secrets, err := job.PullSecrets(*spec, p.containers())
	if err != nil {
		return err
	}
	var own []corev1.LocalObjectReference
	for _, secret := range secrets {
		own = append(own, corev1.LocalObjectReference{Name: secret.Name})
		if err := p.Secret(ctx, secret); err != nil {
			return err
		}
	}
	spec.ImagePullSecrets = append(own, spec.ImagePullSecrets...)
	return nil
}

// make makes the Secret and the pod of the job container, in this order, and returns
// the pod.
func (p *preparation) make(ctx context.Context, spec job.Spec) (*corev1.Pod, error) {
	secret, skipped, err := job.Secret(spec)
	if err != nil {
		return nil, err
	}
	p.tell(skipped)
	pod, err := p.pod(spec)
	if err != nil {
		return nil, err
	}
	if err := p.user(ctx, pod); err != nil {
		return nil, err
	}
	if err := p.Secret(ctx, secret); err != nil {
		return nil, err
	}
	p.record.JobPod = pod.Name
	return p.Pod(ctx, pod)
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
	return pod, ApplyTemplate(p.runner.options.Template, pod, p.call)
}

// ApplyTemplate merges the operator's template into a pod of a job. It tells the author
// what counts in place of options, and the operator what of the template does not.
func ApplyTemplate(template *extension.Template, pod *corev1.Pod, call Call) error {
	asked := pod.Spec.DeepCopy()
	ignored, err := template.ApplyToJob(&pod.Spec, &pod.ObjectMeta)
	if err != nil {
		return err
	}
	if len(ignored) > 0 {
		call.Logger.Warn("the hook template sets what belongs to jobs", zap.Strings("ignored", ignored))
	}
	for _, line := range podoptions.Replaced(asked, &pod.Spec, job.ContainerName) {
		call.Log.Line("::warning::kiln: %s", hook.EscapeData(line))
	}
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
