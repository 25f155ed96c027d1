package request

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/steplog"
)

// Exit codes that say how a process ended (docker run's, and a shell's for
// signals).
const (
	exitNotExecutable = 126
	exitNotFound      = 127
	exitKilled        = 137
	exitTerminated    = 143
)

// actionFailure is why the action called name failed, nil if it did not.
func actionFailure(name string, end *corev1.ContainerStateTerminated) error {
	what := fmt.Sprintf("the action %s ", steplog.OneLine(name))
	code := fmt.Sprintf("(exit code %d)", end.ExitCode)
	message := ""
	if end.Message != "" {
		message = ": " + steplog.OneLine(end.Message)
	}
	notStarted := end.Reason == "StartError" || end.Reason == "ContainerCannotRun"
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
	case end.ExitCode == exitTerminated:
		return failure.New(failure.ActionFailed, "%swas ended by SIGTERM %s", what, code)
	}
	return failure.New(failure.ActionFailed, "%sended with exit code %d: its own output above says why", what, end.ExitCode)
}
