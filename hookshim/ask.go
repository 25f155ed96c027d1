package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
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

// runStep carries a container step out. The code is 1 with every error, also with one that
// it has said itself, before it cleared up, and does not return.
func runStep(ctx context.Context, input hook.Input, container hook.Container, out *lineWriter) (code int, err error) {
	step, err := openStep(out)
	if err != nil {
		return 1, err
	}
	defer step.close()
	defer sayFirst(out, &err)
	request := spool.Request{Path: container.Dockerfile, Args: input.Args}
	if container.Dockerfile != "" {
		request.Dockerfile = filepath.Base(filepath.Clean(container.Dockerfile))
	}
	step.offerOutlet(container, &request)
	result, err := step.ask(ctx, request)
	if err != nil {
		return 1, err
	}
	return step.finish(ctx, result)
}

// offerOutlet adds an outlet for the action to a request. Without one the daemon reads
// what the action prints from its node.
func (s *step) offerOutlet(container hook.Container, request *spool.Request) {
	token := make([]byte, 16)
	_, _ = rand.Read(token) // crypto/rand.Read never fails
	outlet, err := openOutlet(container, hex.EncodeToString(token))
	if err != nil {
		if os.Getenv("RUNNER_DEBUG") == "1" {
			s.say("the action's output goes through its node: %v", err)
		}
		return
	}
	s.outlet, request.Outlet = outlet, outlet.offer()
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

// ask hands a request to the daemon, prints the log that comes back, and returns
// the daemon's answer.
func (s *step) ask(ctx context.Context, request spool.Request) (spool.Result, error) {
	warnMisplaced(s.out)
	if err := s.awaitDaemon(ctx); err != nil {
		return spool.Result{}, err
	}
	s.warnTemplate()
	request.Workspace, request.StopToken = os.Getenv("GITHUB_WORKSPACE"), s.token
	request.Debug = os.Getenv("RUNNER_DEBUG") == "1"
	if err := s.drop(ctx, request); err != nil {
		return spool.Result{}, err
	}
	return s.follow(ctx)
}

// drop stages the request and hands it over.
func (s *step) drop(ctx context.Context, request spool.Request) error {
	draft, err := s.exchange.NewDraft()
	if err != nil {
		return s.explain(err)
	}
	s.draft = draft
	if request.Dockerfile != "" {
		if err := s.stage(ctx, request.Path); err != nil {
			return err
		}
	}
	return s.explain(draft.Drop(request))
}

// stage writes the context of dockerfile into the draft.
func (s *step) stage(ctx context.Context, dockerfile string) error {
	limits := contextLimits(s.exchange.Settings())
	err := s.draft.WriteContext(func(w io.Writer) error {
		_, err := buildcontext.Stage(&cancelWriter{ctx: ctx.Err, w: w}, dockerfile, limits)
		return err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.explain(err)
}

// contextLimits are those that the daemon has published, as far as it has.
func contextLimits(settings spool.Settings) buildcontext.Limits {
	limits := buildcontext.DefaultLimits()
	if settings.ContextMaxBytes > 0 {
		limits.Bytes = settings.ContextMaxBytes
	}
	if settings.ContextMaxEntries > 0 {
		limits.Entries = settings.ContextMaxEntries
	}
	return limits
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
