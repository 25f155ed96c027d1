package main

import (
	"context"
	"syscall"
	"time"

	"kiln/internal/hook"
)

// A task is a call that is read and ready to be carried out.
type task struct {
	// run carries it out and returns the hook's exit code. ctx ends with the
	// runner's first signal; signals has all of them.
	run func(ctx context.Context, signals <-chan syscall.Signal) (code int, err error)
	// grace is how long it may go on after the first signal, and rest how long it may
	// take from there to say so and to end.
	grace, rest time.Duration
}

// newTask reads the arguments of a call that is kiln's.
func newTask(input hook.Input, out *lineWriter) (task, error) {
	switch input.Command {
	case hook.PrepareJob:
		return task{run: func(ctx context.Context, _ <-chan syscall.Signal) (int, error) {
			return prepareJob(ctx, input, out)
		}, grace: cancelGrace, rest: exitGrace}, nil
	case hook.CleanupJob:
		return task{run: func(ctx context.Context, _ <-chan syscall.Signal) (int, error) {
			return cleanUpJob(ctx, input, out)
		}, grace: cancelGrace, rest: exitGrace}, nil
	case hook.RunScriptStep:
		script, err := newScriptStep(input, out)
		return task{run: script.run, grace: killGrace, rest: reapGrace}, err
	default:
		container, err := input.Container()
		return task{run: func(ctx context.Context, _ <-chan syscall.Signal) (int, error) {
			return runStep(ctx, input, container, out)
		}, grace: cancelGrace, rest: exitGrace}, err
	}
}
