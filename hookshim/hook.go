package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"kiln/internal/hook"
)

// maxDelegatedBytes is what a message may have that is not kiln's: far more
// than a job has, and far less than the runner's memory.
const maxDelegatedBytes = 64 << 20

// receive reads the runner's message and returns the call that is kiln's to
// serve. One that is the delegate's is handed over: then receive returns only if
// that fails.
func receive(stdin io.Reader, out io.Writer) (hook.Input, error) {
	other := delegate(os.Getenv(envDelegate))
	limit := maxInputBytes
	if other != "" {
		limit = maxDelegatedBytes
	}
	message, err := readMessage(stdin, limit)
	if err != nil {
		return hook.Input{}, err
	}
	input, err := hook.Parse(message)
	if input.Command != hook.RunScriptStep { // one of many, and quick: its job's first call has left it
		other.greet()
	}
	if err != nil {
		return hook.Input{}, err
	}
	own, err := isOwn(input, other, out)
	switch {
	case err != nil:
	case !own:
		err = other.takeOver(message)
	case len(message) > maxInputBytes:
		err = tooLarge(maxInputBytes)
	}
	return input, err
}

// readMessage reads the runner's message, which may have limit bytes.
func readMessage(stdin io.Reader, limit int) ([]byte, error) {
	message, err := io.ReadAll(io.LimitReader(stdin, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("read the runner's message: %w", err)
	}
	if len(message) > limit {
		return nil, tooLarge(limit)
	}
	return message, nil
}

// tooLarge is the error for a message above the limit.
func tooLarge(limit int) error {
	return fmt.Errorf("the runner's message is larger than %d bytes: pass less in the step's inputs and environment", limit)
}

// What KILN_HANDLE leaves to kiln where there is a delegate.
const (
	handleDockerfile = "dockerfile" // container steps with a Dockerfile
	handleAll        = "all"        // all container steps
	handleJob        = "job"        // all that the stock hook does
)

// isOwn says whether kiln serves what is asked, and not the delegate.
func isOwn(input hook.Input, other delegate, out io.Writer) (bool, error) {
	switch input.Command {
	case hook.RunContainerStep, hook.PrepareJob, hook.RunScriptStep, hook.CleanupJob:
	default:
		if other == "" {
			return false, fmt.Errorf("kiln does not know the hook command %q: update kiln or the runner", input.Command)
		}
		return false, nil
	}
	handle, err := handled(other)
	if err != nil {
		return false, err
	}
	if input.Command != hook.RunContainerStep {
		return handle == handleJob, nil
	}
	if other == "" && os.Getenv(envHandle) == handleDockerfile {
		fmt.Fprintf(out, "::warning::%s=%s has no effect without %s: kiln runs every container step\n", envHandle, handleDockerfile, envDelegate)
	}
	return handle != handleDockerfile || !isReadyImage(input.Args), nil
}

// handled is what kiln serves: in sealed mode everything, since there is nobody
// else; beside a delegate all container steps unless it is told otherwise, as a
// cancelled step of the stock hook goes on after its job.
func handled(other delegate) (string, error) {
	value := os.Getenv(envHandle)
	switch {
	case value != "" && value != handleDockerfile && value != handleAll && value != handleJob:
		return "", fmt.Errorf("%s is %q: write %s, %s or %s", envHandle, value, handleDockerfile, handleAll, handleJob)
	case other == "":
		return handleJob, nil
	}
	return cmp.Or(value, handleAll), nil
}

// isReadyImage says whether a container step names an image and no Dockerfile.
// Of anything else kiln says itself what is wrong.
func isReadyImage(args json.RawMessage) bool {
	var step struct{ Image, Dockerfile string }
	return json.Unmarshal(args, &step) == nil && step.Image != "" && step.Dockerfile == ""
}
