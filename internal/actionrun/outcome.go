package actionrun

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/action"
	"kiln/internal/failure"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/steplog"
)

// Exit codes that say how a process ended (docker run's, and a shell's for
// signals).
const (
	exitNotExecutable = 126
	exitNotFound      = 127
	exitKilled        = 137
	exitPipe          = 141
	exitTerminated    = 143
)

// startError is the reason of a container whose process could not be started.
const startError = "StartError"

// notStarted reports whether the runtime could not start a container's process.
func notStarted(end *corev1.ContainerStateTerminated) bool {
	return end.Reason == startError || end.Reason == "ContainerCannotRun"
}

// podOver reports whether the action's container has ended.
func podOver(pod *corev1.Pod) bool { return podrun.Over(pod, action.ContainerName) }

// actionFailure is why the action called name failed, nil if it did not.
func actionFailure(name string, end *corev1.ContainerStateTerminated) error {
	what := fmt.Sprintf("the action %s ", steplog.OneLine(name))
	code := fmt.Sprintf("(exit code %d)", end.ExitCode)
	message := ""
	if end.Message != "" {
		message = ": " + steplog.OneLine(end.Message)
	}
	notStarted := notStarted(end)
	switch {
	case end.ExitCode == 0:
		return nil
	case end.Reason == "OOMKilled":
		return failure.New(failure.ActionFailed, "%swas killed %s because it used more memory than it may: let it need less, or an operator raises the limit in the pod template", what, code)
	case notStarted && end.ExitCode == exitNotFound:
		return failure.New(failure.ActionFailed, "%scould not be started %s because its entrypoint is not in the image: check the name in ENTRYPOINT or action.yml, and the interpreter in the script's first line%s", what, code, message)
	case notStarted && end.ExitCode == exitNotExecutable:
		return failure.New(failure.ActionFailed, "%scould not be started %s because its entrypoint may not be executed: set its exec bit with git update-index --chmod=+x, and check that it is a program%s", what, code, message)
	case notStarted:
		return failure.New(failure.ActionFailed, "%scould not be started %s%s", what, code, message)
	case end.ExitCode == exitKilled:
		return failure.New(failure.ActionFailed, "%swas ended by SIGKILL %s: a process of it may have run out of memory", what, code)
	case end.ExitCode == exitPipe:
		return failure.New(failure.ActionFailed, "%swas ended by SIGPIPE %s: it wrote to what nobody reads; as the first process of its container, with KILN_INIT=off in its environment, it would go on", what, code)
	case end.ExitCode == exitTerminated:
		return failure.New(failure.ActionFailed, "%swas ended by SIGTERM %s: where it sends that signal to itself or to its group, set KILN_INIT=off in its environment", what, code)
	}
	return failure.New(failure.ActionFailed, "%sended with exit code %d: its own output above says why", what, end.ExitCode)
}

// outcome returns the action's exit code once everything is known.
func (r *run) outcome() (code int, over bool, err error) {
	if r.exit != nil {
		return r.outcomeTold(*r.exit)
	}
	if r.pod == nil {
		return 0, false, nil
	}
	if reason, lost := podrun.Lost(r.pod, action.ContainerName); lost {
		return 1, true, failure.New(podrun.Cause(r.pod), "the action's pod was ended by the cluster: %s", reason)
	}
	if !podOver(r.pod) || r.phase == running {
		return 0, false, nil
	}
	end, ended := podrun.Terminated(r.pod, action.ContainerName)
	if ended {
		if end, err = viaAgent(r.pod, end); err != nil {
			return 1, true, err
		}
	}
	r.logTimes()
	if reason, failed := podrun.Failed(r.pod); failed {
		return 1, true, failure.New(podrun.Cause(r.pod), "the action's pod was ended by the cluster: %s", reason)
	}
	if !ended {
		return 1, true, failure.New(failure.Internal, "the action's pod ended without running the action")
	}
	if deleted(r.pod, end) {
		return 1, true, podwait.Lost("action's pod", podrun.ErrGone)
	}
	if r.unread != nil && end.ExitCode == 0 {
		return 1, true, fmt.Errorf("the action ended well, but not all of its output and of its workflow commands could be read: %w", r.unread)
	}
	return int(end.ExitCode), true, actionFailure(r.action.step.Name, end)
}

// outcomeTold returns the exit code that the action has told itself.
func (r *run) outcomeTold(code int) (int, bool, error) {
	r.isOver = true
	r.action.step.Log.Debug("the action has told its end itself")
	r.logTimes()
	return code, true, actionFailure(r.action.step.Name, &corev1.ContainerStateTerminated{ExitCode: int32(code)})
}

// logTimes says how long the parts of the step took.
func (r *run) logTimes() {
	r.action.step.Times.Mark("run")
	r.action.step.Log.Line("kiln: %s", r.action.step.Times)
}

// deleted reports whether a container was ended because somebody deleted its
// pod, or the Job. Whatever kiln deletes it deletes after the outcome is known.
func deleted(pod *corev1.Pod, end *corev1.ContainerStateTerminated) bool {
	signal := end.ExitCode == exitKilled || end.ExitCode == exitTerminated
	return pod.DeletionTimestamp != nil && signal && end.Reason != "OOMKilled"
}
