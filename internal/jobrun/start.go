package jobrun

import (
	"cmp"
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/job"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/steplog"
)

// start is a job's pod on its way. Its fields belong to the goroutine of its method
// run.
type start struct {
	call     Call
	pods     Pods
	name     string
	limit    time.Duration
	pod      *corev1.Pod // the latest state; nil before the first
	why      *podwait.Wait
	deadline *time.Timer
	starts   func() // counts the pod as waiting no longer
	mark     string // of the pod's agent
}

// enteredPoll is how often it is looked whether the shim has entered the container.
const enteredPoll = 20 * time.Millisecond

// follow returns the start of a pod that was created, whose agent has that mark.
func (p *preparation) follow(pod *corev1.Pod, mark string) *start {
	options := &p.runner.options
	return &start{
		call: p.call, pods: options.Pods, name: pod.Name, limit: options.PendingTimeout,
		why:      podwait.Begin(p.call.Log, options.Pods, podwait.Wait{Kind: "Pod", Name: pod.Name, Image: failure.ActionImagePull}),
		deadline: time.NewTimer(options.PendingTimeout),
		starts:   sync.OnceFunc(options.Metrics.PodWaits()),
		mark:     mark,
	}
}

// run waits until the job container runs and returns the pod's address. Where the shim
// is in the container before the kubelet has said so, that is not known, and not needed.
func (s *start) run(ctx context.Context) (address string, err error) {
	defer s.deadline.Stop()
	defer s.starts()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	feed := podwait.Watch(ctx, func(ctx context.Context, onChange podrun.OnChange) error {
		return s.pods.Watch(ctx, s.name, onChange)
	})
	ticker := time.NewTicker(podwait.Interval)
	defer ticker.Stop()
	entered := time.NewTicker(enteredPoll)
	defer entered.Stop()
	for {
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case s.pod = <-feed.Pods:
			err = s.changed()
		case err = <-feed.Done:
			err = podwait.Lost("job's pod", err)
		case <-ticker.C:
			err = s.why.Look(ctx, s.pod)
		case <-s.deadline.C:
			err = s.why.Late("the job's pod", s.limit)
		case <-entered.C:
		}
		if err != nil {
			return "", cmp.Or(context.Cause(ctx), err) // the watch ends with ctx too
		}
		if s.pod != nil && podrun.Running(s.pod, job.ContainerName) && s.pod.Status.PodIP != "" {
			return s.pod.Status.PodIP, nil
		}
		if s.call.Entered != nil && s.call.Entered() == s.mark {
			return "", nil
		}
	}
}

// changed is the error of a pod that will not run any more.
func (s *start) changed() error {
	if reason, failed := podrun.Failed(s.pod); failed {
		return failure.New(podrun.Cause(s.pod), "the job's pod was ended by the cluster: %s", reason)
	}
	if end, ended := podrun.Terminated(s.pod, job.InstallName); ended && end.ExitCode != 0 {
		return failure.New(failure.NotStarted, "the job container's process could not be installed (exit code %d, %s): %s", end.ExitCode, end.Reason, steplog.OneLine(end.Message))
	}
	end, ended := podrun.Terminated(s.pod, job.ContainerName)
	if !ended {
		return nil
	}
	return failure.New(failure.ActionFailed, "the job container could not be started (exit code %d, %s): %s", end.ExitCode, end.Reason, steplog.OneLine(end.Message))
}
