package actionrun

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/action"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/hostpath"
	"kiln/internal/podlog"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/steplog"
	"kiln/internal/workpod"
)

// phase is how far a run is.
type phase int

const (
	starting phase = iota // the container has not started
	running               // its output is being read
	read                  // its output was read, as far as it can be
)

// run is one action's pod. Its fields belong to the goroutine of its method run.
type run struct {
	action   *Action
	job      *batchv1.Job // of an earlier run of the daemon; else nil
	phase    phase
	pod      *corev1.Pod // the latest state; nil before the first
	logged   chan error  // the outcome of reading the output
	deadline *time.Timer // of the present phase
	why      *podwait.Wait
	starts   func() // counts the pod as waiting no longer
	started  bool   // see start
	reused   bool   // the image was built for an earlier step
	unread   error  // why not all of the output was read
	isOver   bool
	over     chan struct{} // closed when the container has ended
	outlet   bool          // it starts with the agent, and may print into the step's outlet
	taken    chan struct{} // closed when it prints there
	told     chan int      // the exit code that it has told
	exit     *int          // that code; nil before
}

// follow returns the run of a Job.
func (a *Action) follow(job *batchv1.Job, reused bool) *run {
	options := &a.runner.options
	return &run{
		action:   a,
		logged:   make(chan error, 1),
		over:     make(chan struct{}),
		deadline: time.NewTimer(options.PendingTimeout),
		why:      podwait.Begin(a.step.Log, options.Pods, podwait.Wait{Kind: "Job", Name: job.Name, Image: failure.ActionImagePull}),
		starts:   sync.OnceFunc(options.Metrics.PodWaits()),
		reused:   reused,
		outlet:   a.step.Outlet != nil && action.HasOutlet(&job.Spec.Template.Spec),
		taken:    make(chan struct{}),
		told:     make(chan int, 1),
	}
}

// isAlone reports whether the pod has no container beside the action's that may run. What
// admission has added to it only the pod itself says.
func (r *run) isAlone() bool {
	if r.pod == nil {
		return false
	}
	spec := &r.pod.Spec
	return len(spec.Containers) == 1 && !slices.ContainsFunc(spec.InitContainers, func(c corev1.Container) bool {
		return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
}

// run handles what happens to the action's pod until its log is read and its
// exit code known.
func (r *run) run(ctx context.Context) (int, error) {
	defer r.deadline.Stop()
	defer r.starts()
	ctx, cancel := context.WithCancel(ctx)
	defer r.join(cancel)
	job := r.why.Name
	feed := podwait.Watch(ctx, func(ctx context.Context, onChange podrun.OnChange) error {
		return r.action.runner.options.Pods.WatchJobPod(ctx, job, onChange)
	})
	ticker := time.NewTicker(podwait.Interval)
	defer ticker.Stop()
	if r.outlet {
		go r.attend(ctx)
	}
	taken := r.taken
	for {
		var err error
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case r.pod = <-feed.Pods:
			if r.reused && podrun.ImageMissing(r.pod, action.ContainerName) {
				return 1, ErrImageMissing
			}
			r.follow(ctx)
			r.tellOver()
		case err = <-feed.Done:
			err = cmp.Or(context.Cause(ctx), podwait.Lost("action's pod", err)) // the watch ends with ctx too
		case <-taken:
			taken = nil
			r.start()
		case code := <-r.told:
			r.start()
			r.exit = &code
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
func (r *run) join(cancel func()) {
	cancel()
	if r.phase != running {
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
func (r *run) follow(ctx context.Context) {
	if r.phase != starting || !podwait.Started(r.pod, action.ContainerName) {
		return
	}
	r.phase = running
	r.start()
	r.action.step.Log.Debug("action pod %s/%s on node %s", r.pod.Namespace, r.pod.Name, r.pod.Spec.NodeName)
	r.deadline.Stop()
	if limit := r.action.runner.options.StepTimeout; limit > 0 {
		r.deadline.Reset(r.left(limit))
	}
	pod := r.pod
	go func() { r.logged <- r.output(ctx, pod) }()
}

// start notes that the container has started: the cluster says so, or before that the
// shim. What bounds the time until then goes by the cluster alone, since workflow code can
// speak for the shim.
func (r *run) start() {
	if r.started {
		return
	}
	r.started = true
	r.starts()
	r.action.step.Times.Mark("start")
}

// left is what is left of a limit since the container's start, where an earlier run of
// the daemon has seen that.
func (r *run) left(limit time.Duration) time.Duration {
	begun := podrun.StartedAt(r.pod, action.ContainerName)
	if r.job == nil || begun.IsZero() {
		return limit
	}
	return max(limit-time.Since(begun), 0)
}

// missingLines is what the author reads where the node has dropped lines.
const missingLines = "::warning::kiln: lines of the action's output may be missing here: the node rotated its log before it was read"

// show passes the action's output on, with paths as the runner knows them.
func (r *run) show(ctx context.Context, pod *corev1.Pod) error {
	log := r.action.step.Log
	from, stopped := log.Reached(string(pod.UID))
	to := &copier{log: log, at: steplog.Output{Pod: string(pod.UID), At: from}}
	to.mapped = hostpath.NewWriter(to, hostPaths(r.action.step.Container, r.action.step.Runner.WorkMount))
	to.mapped.Resume(stopped)
	err := r.action.runner.options.Pods.FollowFrom(ctx, pod.Name, action.ContainerName, from, func(chunk []byte, after podlog.Position) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if chunk == nil {
			log.Line(missingLines)
		}
		return to.copy(chunk, after)
	})
	return errors.Join(err, to.finish())
}

// ended takes the outcome of reading the log. A log that cannot be read ends no
// action: it is said once, and how the action ends is still waited for.
func (r *run) ended(ctx context.Context, err error) error {
	r.phase = read
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case r.action.step.Log.Err() != nil:
		return err // nobody takes the log any more
	}
	r.unread = err
	if !errors.Is(err, podrun.ErrGone) { // the watch says that better
		r.action.step.Log.Line("::warning::kiln: the action's output cannot be read any further: %s", hook.EscapeData(err.Error()))
	}
	return nil
}

// explain says why the pod does not start.
func (r *run) explain(ctx context.Context) error {
	if r.phase != starting {
		return nil
	}
	if err := r.vanished(ctx); err != nil {
		return err
	}
	return r.why.Look(ctx, r.pod)
}

// late is the error of a phase that took too long.
func (r *run) late() error {
	if r.phase != starting {
		return failure.New(failure.Deadline, "the action ran longer than %s (KILN_STEP_TIMEOUT)", r.action.runner.options.StepTimeout)
	}
	return r.why.Late("the action's pod", r.action.runner.options.PendingTimeout)
}

// hostPaths are the directories that the runner and the action share.
func hostPaths(container hook.Container, work string) []hostpath.Mapping {
	mappings := []hostpath.Mapping{{Container: workpod.Target, Host: work}}
	for _, mount := range container.SystemMountVolumes {
		mappings = append(mappings, hostpath.Mapping{Container: mount.TargetVolumePath, Host: mount.SourceVolumePath})
	}
	return mappings
}
