package service

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/podrun"
)

// Phase is how far a service is.
type Phase int

// The phases of a service.
const (
	Waiting  Phase = iota // its container has not started
	Starting              // its health check has not passed, or it has none and just started
	Ready                 // it runs, and has passed its health check if it has one
	Failed                // its health check will not pass any more
	Ended                 // it has no health check, and has ended
)

// State is how far a service is, and why in the end it is no farther.
type State struct {
	Phase Phase
	// Reason is of Failed and Ended, for the author.
	Reason string
	// Until is when a Starting service is something else if nothing changes.
	Until time.Time
}

// settle is how long a service without a health check has to run: whether one ends at
// once is known a second late.
const settle = 2 * time.Second

// StateOf tells the state of the service that is the container of a pod, at a time.
func StateOf(pod *corev1.Pod, container string, check *Check, now time.Time) State {
	status := statusOf(pod, container)
	if end, ended := podrun.Terminated(pod, container); ended {
		reason := fmt.Sprintf("it ended with exit code %d", end.ExitCode)
		if end.Reason == "OOMKilled" {
			reason += " (OOMKilled: it needed more memory than it may have)"
		}
		if check == nil {
			return State{Phase: Ended, Reason: reason}
		}
		return State{Phase: Failed, Reason: reason}
	}
	switch {
	case status == nil || status.State.Running == nil:
		return State{}
	case check != nil && status.Ready:
		return State{Phase: Ready}
	}
	began := status.State.Running.StartedAt
	if check == nil {
		if now.Before(began.Add(settle)) {
			return State{Phase: Starting, Until: began.Add(settle)}
		}
		return State{Phase: Ready}
	}
	until := began.Add(check.patience())
	if now.Before(until) {
		return State{Phase: Starting, Until: until}
	}
	return State{Phase: Failed, Reason: fmt.Sprintf("its health check has not passed within %s (start period %s, %d retries every %s of at most %s)",
		check.patience(), check.StartPeriod, check.Retries, check.Interval, check.Timeout)}
}

func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == container {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}
