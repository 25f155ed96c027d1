package request

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/action"
	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/hostpath"
	"kiln/internal/label"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/spool"
)

// jobPodGrace is how many seconds the action of a cancelled step has between
// SIGTERM and SIGKILL. The runner gives a cancelled hook ten seconds in all.
const jobPodGrace = 3

// runImage runs an image as the step's action and returns the action's exit
// code. An image that was built earlier and that the nodes cannot find is built
// once more: registries clean up.
func (s *step) runImage(ctx context.Context, ready image) (int, error) {
	code, err := s.runAction(ctx, ready)
	if !errors.Is(err, errImageMissing) {
		return code, err
	}
	s.log.Line("kiln: the nodes do not find %s any more: it is built once more", ready.reference)
	rebuilt, err := s.rebuild(ctx)
	if err != nil {
		return 1, err
	}
	return s.runAction(ctx, rebuilt)
}

// errImageMissing says that a reused image is not where the nodes pull it.
var errImageMissing = errors.New("the image is not in the registry")

// runAction runs an image as a Job and returns the action's exit code.
func (s *step) runAction(ctx context.Context, ready image) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	spec := s.actionStep(newName(), ready)
	job, err := action.Job(spec)
	if err != nil {
		return 1, err
	}
	ignored, err := s.handler.ActionTemplate.Apply(job)
	if err != nil {
		return 1, err
	}
	if len(ignored) > 0 {
		s.logger.Warn("the hook template sets what belongs to actions", zap.Strings("ignored", ignored))
	}
	if err := s.prepareStart(ctx, ready, job); err != nil {
		return 1, err
	}
	secret, skipped, err := action.Secret(spec)
	if err != nil {
		return 1, err
	}
	if len(skipped) > 0 {
		s.log.Line("::warning::kiln: these environment variables have names that Kubernetes refuses and are not set: %s", hook.EscapeData(strings.Join(skipped, ", ")))
	}
	return s.runJob(ctx, secret, job, ready.reused != "")
}

// runJob creates the step's Secret and Job, sees the Job's pod through and
// deletes both. What an error leaves unclear is deleted too.
func (s *step) runJob(ctx context.Context, secret *corev1.Secret, job *batchv1.Job, reused bool) (int, error) {
	if err := s.note(spool.Made{Name: secret.Name}); err != nil {
		return 1, err
	}
	kept, err := s.handler.Pods.CreateSecret(ctx, secret)
	if !podrun.Refused(err) {
		defer s.cleanup("step Secret", func(ctx context.Context) error { return s.handler.Pods.DeleteSecret(ctx, kept) })
	}
	if err != nil {
		return 1, fmt.Errorf("create the step's Secret: %w", err)
	}
	if err := s.note(spool.Made{Name: secret.Name, SecretUID: string(kept.UID)}); err != nil {
		return 1, err
	}
	made, err := s.handler.Pods.CreateJob(ctx, job)
	if !podrun.Refused(err) {
		known := podrun.Object{Name: job.Name}
		if err == nil {
			known.UID = made.UID
		}
		defer s.cleanup("action Job", func(ctx context.Context) error {
			return s.handler.Pods.DeleteJob(ctx, known, mark(s.id, s.owner.UID), jobPodGrace)
		})
	}
	if err != nil {
		return 1, fmt.Errorf("create the action's Job: %w", err)
	}
	r := s.newActionRun(job.Name)
	r.reused = reused
	return r.run(ctx)
}

// actionStep collects what the action's Job is made of.
func (s *step) actionStep(name string, ready image) action.Step {
	return action.Step{
		Name:             name,
		Namespace:        s.handler.Pods.Namespace,
		Image:            ready.reference,
		Container:        s.container,
		Claim:            s.self.Claim,
		WorkMount:        s.self.WorkMount,
		NodeName:         s.nodeName(),
		Arch:             runtime.GOARCH,
		Tolerations:      s.self.Tolerations,
		SELinux:          s.self.SELinux,
		SELinuxChange:    s.self.SELinuxChange,
		ImagePullSecrets: s.pullSecrets(ready),
		Labels:           s.labels(label.RoleAction),
		OwnerReferences:  []metav1.OwnerReference{s.self.Owner()},
	}
}

// nodeName is the node that actions must run on, or empty.
func (s *step) nodeName() string {
	if s.handler.Settings.Placement == config.PlacementAnywhere {
		return ""
	}
	return s.self.NodeName
}

// actionRun is one action's pod. Its fields belong to the goroutine of run.
type actionRun struct {
	step     *step
	pod      *corev1.Pod // the latest state; nil before the first
	logged   chan error  // the outcome of reading the log
	deadline *time.Timer // of the present phase
	why      *podwait.Wait

	starts    func() // counts the pod as waiting no longer
	reused    bool   // the image was built for an earlier step
	following bool
	read      bool  // the log was read, as far as it can be
	unread    error // why not all of it was
}

// newActionRun returns the run of the Job called name.
func (s *step) newActionRun(name string) *actionRun {
	return &actionRun{
		step:     s,
		logged:   make(chan error, 1),
		deadline: time.NewTimer(s.handler.Settings.PendingTimeout),
		why:      podwait.Begin(s.log, s.handler.Pods, podwait.Wait{Kind: "Job", Name: name, Image: failure.ActionImagePull}),
		starts:   sync.OnceFunc(s.handler.Metrics.PodWaits()),
	}
}

// run handles what happens to the action's pod until its log is read and its
// exit code known.
func (r *actionRun) run(ctx context.Context) (int, error) {
	defer r.deadline.Stop()
	defer r.starts()
	ctx, cancel := context.WithCancel(ctx)
	defer r.join(cancel)
	job := r.why.Name
	feed := podwait.Watch(ctx, func(ctx context.Context, onChange podrun.OnChange) error {
		return r.step.handler.Pods.WatchJobPod(ctx, job, onChange)
	})
	ticker := time.NewTicker(podwait.Interval)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case r.pod = <-feed.Pods:
			if r.reused && podrun.ImageMissing(r.pod, action.ContainerName) {
				return 1, errImageMissing
			}
			r.follow(ctx)
		case err = <-feed.Done:
			err = podwait.Lost("action's pod", err)
		case err = <-r.logged:
			err = r.ended(ctx, err)
		case <-ticker.C:
			err = r.explain(ctx)
		case <-r.deadline.C:
			err = r.late()
		}
		if err != nil {
			return 1, err
		}
		if code, over, err := r.outcome(); over {
			return code, err
		}
	}
}

// joinGrace is how long an action's log may take to let go.
const joinGrace = time.Second

// join ends the reading of the log, so that nothing of the action comes after
// the error of its step. A log that nobody takes lines from is not waited for.
func (r *actionRun) join(cancel func()) {
	cancel()
	if !r.following || r.read {
		return
	}
	timer := time.NewTimer(joinGrace)
	defer timer.Stop()
	select {
	case <-r.logged:
	case <-timer.C:
	}
}

// follow starts to read the action's log once there is one.
func (r *actionRun) follow(ctx context.Context) {
	if r.following || !podwait.Started(r.pod, action.ContainerName) {
		return
	}
	r.following = true
	r.starts()
	r.step.times.Mark("start")
	r.step.log.Debug("action pod %s/%s on node %s", r.pod.Namespace, r.pod.Name, r.pod.Spec.NodeName)
	r.deadline.Stop()
	if limit := r.step.handler.Settings.StepTimeout; limit > 0 {
		r.deadline.Reset(limit)
	}
	pod := r.pod.Name
	go func() { r.logged <- r.show(ctx, pod) }()
}

// missingLines is what the author reads where the node has dropped lines.
const missingLines = "::warning::kiln: lines of the action's output may be missing here: the node rotated its log before it was read"

// show passes the action's output on, with paths as the runner knows them.
func (r *actionRun) show(ctx context.Context, pod string) error {
	output := hostpath.NewWriter(r.step.log, hostPaths(r.step.container, r.step.self.WorkMount))
	err := r.step.handler.Pods.Follow(ctx, pod, action.ContainerName, func(chunk []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if chunk == nil {
			r.step.log.Line(missingLines)
		}
		_, err := output.Write(chunk)
		r.step.log.Stopped(output.Stopped())
		return err
	})
	err = errors.Join(err, output.Flush())
	r.step.log.Stopped(output.Stopped())
	return err
}

// ended takes the outcome of reading the log. A log that cannot be read ends no
// action: it is said once, and how the action ends is still waited for.
func (r *actionRun) ended(ctx context.Context, err error) error {
	r.read = true
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case r.step.log.Err() != nil:
		return err // nobody takes the log any more
	}
	r.unread = err
	if !errors.Is(err, podrun.ErrGone) { // the watch says that better
		r.step.log.Line("::warning::kiln: the action's output cannot be read any further: %s", hook.EscapeData(err.Error()))
	}
	return nil
}

// outcome returns the action's exit code once everything is known.
func (r *actionRun) outcome() (code int, over bool, err error) {
	if r.pod == nil {
		return 0, false, nil
	}
	if reason, lost := podrun.Lost(r.pod, action.ContainerName); lost {
		return 1, true, failure.New(podrun.Cause(r.pod), "the action's pod was ended by the cluster: %s", reason)
	}
	if !podrun.Over(r.pod, action.ContainerName) || r.following && !r.read {
		return 0, false, nil
	}
	r.step.times.Mark("run")
	r.step.log.Line("kiln: %s", r.step.times)
	if reason, failed := podrun.Failed(r.pod); failed {
		return 1, true, failure.New(podrun.Cause(r.pod), "the action's pod was ended by the cluster: %s", reason)
	}
	end, ok := podrun.Terminated(r.pod, action.ContainerName)
	if !ok {
		return 1, true, failure.New(failure.Internal, "the action's pod ended without running the action")
	}
	if deleted(r.pod, end) {
		return 1, true, podwait.Lost("action's pod", podrun.ErrGone)
	}
	if r.unread != nil && end.ExitCode == 0 {
		return 1, true, fmt.Errorf("the action ended well, but not all of its output and of its workflow commands could be read: %w", r.unread)
	}
	return int(end.ExitCode), true, actionFailure(r.step.actionName(), end)
}

// deleted reports whether a container was ended because somebody deleted its
// pod, or the Job. Whatever kiln deletes it deletes after the outcome is known.
func deleted(pod *corev1.Pod, end *corev1.ContainerStateTerminated) bool {
	signal := end.ExitCode == exitKilled || end.ExitCode == exitTerminated
	return pod.DeletionTimestamp != nil && signal && end.Reason != "OOMKilled"
}

// explain says why the pod does not start.
func (r *actionRun) explain(ctx context.Context) error {
	if r.following {
		return nil
	}
	return r.why.Look(ctx, r.pod)
}

// late is the error of a phase that took too long.
func (r *actionRun) late() error {
	if r.following {
		return failure.New(failure.Deadline, "the action ran longer than %s (KILN_STEP_TIMEOUT)", r.step.handler.Settings.StepTimeout)
	}
	return r.why.Late("the action's pod", r.step.handler.Settings.PendingTimeout)
}

// leaveOut takes those mounts out of the step that its action cannot have.
func (s *step) leaveOut() {
	shared, other := action.Shared(s.container.SystemMountVolumes, s.self.WorkMount)
	s.container.SystemMountVolumes = shared
	if len(other) == 0 {
		return
	}
	var left []string
	for _, mount := range other {
		left = append(left, fmt.Sprintf("%q at %q", mount.SourceVolumePath, mount.TargetVolumePath))
	}
	s.log.Debug("not mounted, since it does not lie below the work folder %s: %s", s.self.WorkMount, strings.Join(left, ", "))
}

// hostPaths are the directories that the runner and the action share.
func hostPaths(container hook.Container, work string) []hostpath.Mapping {
	mappings := []hostpath.Mapping{{Container: action.WorkTarget, Host: work}}
	for _, mount := range container.SystemMountVolumes {
		mappings = append(mappings, hostpath.Mapping{Container: mount.TargetVolumePath, Host: mount.SourceVolumePath})
	}
	return mappings
}
