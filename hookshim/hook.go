package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"kiln/internal/buildcontext"
	"kiln/internal/hook"
	"kiln/internal/spool"
)

// maxDelegatedBytes is what a message may have that is not kiln's: far more
// than a job has, and far less than the runner's memory.
const maxDelegatedBytes = 64 << 20

// receive reads the runner's message and returns the container step that is
// kiln's to run. A call that is the delegate's is handed over: then receive
// returns only if that fails.
func receive(stdin io.Reader, out io.Writer) (hook.Input, hook.Container, error) {
	other := delegate(os.Getenv(envDelegate))
	other.greet()
	limit := maxInputBytes
	if other != "" {
		limit = maxDelegatedBytes
	}
	message, err := readMessage(stdin, limit)
	if err != nil {
		return hook.Input{}, hook.Container{}, err
	}
	input, err := hook.Parse(message)
	if err != nil {
		return hook.Input{}, hook.Container{}, err
	}
	own, err := isOwn(input, other, out)
	switch {
	case err != nil:
	case !own:
		err = other.takeOver(message)
	case len(message) > maxInputBytes:
		err = tooLarge(maxInputBytes)
	}
	if err != nil {
		return hook.Input{}, hook.Container{}, err
	}
	container, err := input.Container()
	return input, container, err
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

// isOwn says whether kiln runs what is asked, and not the delegate.
func isOwn(input hook.Input, other delegate, out io.Writer) (bool, error) {
	if input.Command != hook.RunContainerStep {
		if other == "" {
			return false, unknownCommand(input.Command)
		}
		return false, nil
	}
	all, err := handlesAll(other, out)
	if err != nil || all {
		return all, err
	}
	return !isReadyImage(input.Args), nil
}

// handlesAll says whether kiln runs container steps of ready images too, as it does
// unless it is told otherwise: a cancelled step of the stock hook goes on after its job.
// In sealed mode it always does: there is nobody else.
func handlesAll(other delegate, out io.Writer) (bool, error) {
	const dockerfile, all = "dockerfile", "all"
	value := os.Getenv(envHandle)
	switch {
	case value != "" && value != dockerfile && value != all:
		return false, fmt.Errorf("%s is %q: write %s or %s", envHandle, value, dockerfile, all)
	case other != "":
		return value != dockerfile, nil
	case value == dockerfile:
		fmt.Fprintf(out, "::warning::%s=%s has no effect without %s: kiln runs every container step\n", envHandle, value, envDelegate)
	}
	return true, nil
}

// isReadyImage says whether a container step names an image and no Dockerfile.
// Of anything else kiln says itself what is wrong.
func isReadyImage(args json.RawMessage) bool {
	var step struct{ Image, Dockerfile string }
	return json.Unmarshal(args, &step) == nil && step.Image != "" && step.Dockerfile == ""
}

// unknownCommand is the error for a hook command that is not kiln's.
func unknownCommand(command string) error {
	switch command {
	case hook.PrepareJob, hook.RunScriptStep, hook.CleanupJob:
		return fmt.Errorf("kiln does not run %s: remove container: and services: from the job, this runner runs container actions only", command)
	default:
		return fmt.Errorf("kiln does not know the hook command %q: it runs %s; update kiln or the runner", command, hook.RunContainerStep)
	}
}

// runStep carries a container step out. The code is 1 with every error.
func runStep(ctx context.Context, input hook.Input, container hook.Container, out *lineWriter) (int, error) {
	warnMisplaced(out)
	step, err := openStep(out)
	if err != nil {
		return 1, err
	}
	defer step.close()
	if err := step.awaitDaemon(ctx); err != nil {
		return 1, err
	}
	step.warnTemplate()
	if err := step.drop(ctx, input, container); err != nil {
		return 1, err
	}
	return step.follow(ctx)
}

// warnMisplaced says which settings of the daemon stand on the runner
// container, where they have no effect.
func warnMisplaced(out io.Writer) {
	const prefix = "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_"
	for _, name := range []string{"HOST", "HOST_PUSH", "HOST_PULL", "SECRET_NAME"} {
		if os.Getenv(prefix+name) != "" {
			fmt.Fprintf(out, "::warning::%s%s is set on the runner container, where it has no effect: set it on the kiln container\n", prefix, name)
		}
	}
}

// warnTemplate says that the extension template of the runner container is not
// merged into the Jobs of actions: only a template of the daemon's is, since
// what it says decides what a pod may do.
func (s *step) warnTemplate() {
	const name = "ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE"
	if os.Getenv(name) == "" || s.exchange.Settings().HookTemplate {
		return
	}
	effect := "where it has no effect"
	if os.Getenv(envDelegate) != "" {
		effect = "where only the hook of " + envDelegate + " reads it: the actions that kiln runs go without it"
	}
	fmt.Fprintf(s.out, "::warning::%s is set on the runner container, %s; mount the file in the kiln container and set the variable there\n", name, effect)
}

// drop stages the step's request and hands it over.
func (s *step) drop(ctx context.Context, input hook.Input, container hook.Container) error {
	draft, err := s.exchange.NewDraft()
	if err != nil {
		return s.explain(err)
	}
	s.draft = draft
	if container.Dockerfile != "" {
		if err := s.stage(ctx, container.Dockerfile); err != nil {
			return err
		}
	}
	request := spool.Request{
		Path:      container.Dockerfile,
		Workspace: os.Getenv("GITHUB_WORKSPACE"),
		StopToken: s.token,
		Debug:     os.Getenv("RUNNER_DEBUG") == "1",
		Args:      input.Args,
	}
	if container.Dockerfile != "" {
		request.Dockerfile = filepath.Base(filepath.Clean(container.Dockerfile))
	}
	return s.explain(draft.Drop(request))
}

// stage writes the context of dockerfile into the draft.
func (s *step) stage(ctx context.Context, dockerfile string) error {
	settings := s.exchange.Settings()
	limits := buildcontext.DefaultLimits()
	if settings.ContextMaxBytes > 0 {
		limits.Bytes = settings.ContextMaxBytes
	}
	if settings.ContextMaxEntries > 0 {
		limits.Entries = settings.ContextMaxEntries
	}
	err := s.draft.WriteContext(func(w io.Writer) error {
		_, err := buildcontext.Stage(&cancelWriter{ctx: ctx.Err, w: w}, dockerfile, limits)
		return err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.explain(err)
}

// explain adds what to do to an error of the exchange.
func (s *step) explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the exchange %s is full: give the node more ephemeral storage or make the context smaller with a .dockerignore: %w", s.path, err)
	}
	return err
}

// cancelWriter stops a long write once the step is cancelled.
type cancelWriter struct {
	ctx func() error
	w   io.Writer
}

// Write writes p unless the step is cancelled.
func (c *cancelWriter) Write(p []byte) (int, error) {
	if err := c.ctx(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}
