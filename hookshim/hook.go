package main

import (
	"context"
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

// commandContainerStep is the one hook command that kiln serves.
const commandContainerStep = "run_container_step"

// runHook reads the runner's message and carries the step out. The code is 1
// with every error.
func runHook(ctx context.Context, stdin io.Reader, out *lineWriter) (int, error) {
	input, container, err := readInput(stdin)
	if err != nil {
		return 1, err
	}
	warnMisplaced(out)
	step, err := openStep(out)
	if err != nil {
		return 1, err
	}
	defer step.close()
	if err := step.awaitDaemon(ctx); err != nil {
		return 1, err
	}
	if err := step.drop(ctx, input, container); err != nil {
		return 1, err
	}
	return step.follow(ctx)
}

// readInput reads and checks the runner's message.
func readInput(stdin io.Reader) (hook.Input, hook.Container, error) {
	data, err := io.ReadAll(io.LimitReader(stdin, maxInputBytes+1))
	if err != nil {
		return hook.Input{}, hook.Container{}, fmt.Errorf("read the runner's message: %w", err)
	}
	if len(data) > maxInputBytes {
		return hook.Input{}, hook.Container{}, fmt.Errorf("the runner's message is larger than %d bytes: pass less in the step's inputs and environment", maxInputBytes)
	}
	input, err := hook.Parse(data)
	if err != nil {
		return hook.Input{}, hook.Container{}, err
	}
	if input.Command != commandContainerStep {
		return hook.Input{}, hook.Container{}, unknownCommand(input.Command)
	}
	container, err := input.Container()
	return input, container, err
}

// unknownCommand is the error for a hook command that is not kiln's.
func unknownCommand(command string) error {
	switch command {
	case "prepare_job", "run_script_step", "cleanup_job":
		return fmt.Errorf("kiln does not run %s: remove container: and services: from the job, this runner runs container actions only", command)
	default:
		return fmt.Errorf("kiln does not know the hook command %q: it runs %s; update kiln or the runner", command, commandContainerStep)
	}
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
