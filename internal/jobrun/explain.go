package jobrun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/job"
	"kiln/internal/podrun"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// exitKilled is how a process ends by SIGKILL, and so a step whose container is gone.
const exitKilled = 137

// explainTimeout bounds the wait for what a node says of a container that ended: a busy
// one takes one or two of the kubelet's rounds of ten seconds.
const explainTimeout = 20 * time.Second

// Explain says what became of the job container: the exit code for a step that it took
// with it, never 0, and an error for its author. It waits a little for the node, which
// tells later than the step has seen it.
func (r *Runner) Explain(ctx context.Context) (int, error) {
	record, noted, err := r.options.State.NotedJob()
	switch {
	case err != nil:
		return 1, err
	case !noted || record.JobPod == "":
		return 1, failure.New(failure.NodeLost, "the job has no pod: it was not prepared, or is over")
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	code, found, seen := 1, error(nil), false
	err = r.options.Pods.Watch(ctx, record.JobPod, func(pod *corev1.Pod) (bool, error) {
		code, found = became(pod, record)
		seen = true
		return found != nil, nil
	})
	switch {
	case found != nil:
		return code, found
	case errors.Is(err, podrun.ErrGone):
		return exitKilled, gone()
	case seen && errors.Is(err, context.DeadlineExceeded):
		return 1, failure.New(failure.Internal, "the way into the job container has ended, but the container runs: kiln-agent in it, or the work volume, may have been tampered with")
	}
	return 1, fmt.Errorf("ask what became of the job container: %w", err)
}

// gone is the error of a job whose pod is no more.
func gone() error {
	return failure.New(failure.NodeLost, "the job's pod was deleted while the job ran: its node may be gone, or somebody removed it")
}

// became tells how the job container of a pod ended; the error is nil while that is
// not known.
func became(pod *corev1.Pod, record spool.JobRecord) (int, error) {
	if !slices.Contains(record.Pods, spool.Kept{Name: pod.Name, UID: string(pod.UID)}) {
		return exitKilled, gone()
	}
	if reason, failed := podrun.Failed(pod); failed {
		return exitKilled, failure.New(podrun.Cause(pod), "the job's pod was ended by the cluster: %s", reason)
	}
	end, ended := podrun.Terminated(pod, job.ContainerName)
	switch {
	case ended && end.Reason == "OOMKilled":
		return exitKilled, failure.New(failure.OutOfMemory, "the job container was killed (OOMKilled, exit code %d) because its processes used more memory than %s: let the step need less, or give the job more with options: --memory, or have an operator raise the limit in the pod template", exitKilled, limit(pod))
	case pod.DeletionTimestamp != nil:
		return exitKilled, gone()
	case ended && end.ExitCode == exitKilled:
		return exitKilled, failure.New(failure.ActionFailed, "the job container was ended by SIGKILL (exit code %d): a process of it may have run out of memory", exitKilled)
	case ended:
		return max(1, int(end.ExitCode)), failure.New(failure.ActionFailed, "the job container has ended (exit code %d, %s) %s", end.ExitCode, end.Reason, steplog.OneLine(end.Message))
	}
	return 1, nil
}

// limit is what the job container of a pod may use of memory.
func limit(pod *corev1.Pod) string {
	for i := range pod.Spec.Containers {
		if limits := pod.Spec.Containers[i].Resources.Limits; pod.Spec.Containers[i].Name == job.ContainerName && !limits.Memory().IsZero() {
			return "its limit of " + limits.Memory().String()
		}
	}
	return "its node has"
}
