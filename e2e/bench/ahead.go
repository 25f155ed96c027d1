package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// What a job whose images are built ahead of their steps waits for.
const (
	jobStart   = "the script of the job's start: starts → exits"
	kilnAhead  = "kiln, 20 s after the job's start: hook starts → hook exits"
	aheadAfter = 20 * time.Second
)

// ahead plays the start of a job that has downloaded the action, as no build has seen it,
// and its step some time later. Only the step's own time counts.
func (b *bench) ahead(ctx context.Context) error {
	start, step, err := b.after(ctx, runner.ActionDir(b.use().Uses), b.fresh(), b.action.Step(harness.Main, b.use()), atOnce)
	if err != nil {
		return err
	}
	b.times[jobStart] = append(b.times[jobStart], start)
	b.times[kilnAhead] = append(b.times[kilnAhead], step)
	return nil
}

// atOnce is what a step begins at that waits for nothing.
func atOnce(context.Context) error { return nil }

// wish does so with a workload, and returns the time of its step.
func (b *bench) wish(ctx context.Context, l workload, ready func(context.Context) error) (time.Duration, error) {
	_, step, err := b.after(ctx, l.dir(), l.files(l.content(nonce(), nonce())), l.step(), ready)
	return step, err
}

// after plays the start of a job that has downloaded the action in dir, and its step.
// Ready waits for what the step is to begin at, after that time.
func (b *bench) after(ctx context.Context, dir string, files harness.Files, step runner.Step, ready func(context.Context) error) (start, took time.Duration, err error) {
	files[dir+".completed"] = harness.File{Data: []byte("done")}
	started, err := b.play(ctx, runner.Step{Repository: "acme/app", Command: runner.JobStarted}, files)
	if err != nil {
		return 0, 0, err
	}
	select {
	case <-time.After(aheadAfter):
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	if err := ready(ctx); err != nil {
		return 0, 0, err
	}
	result, err := b.play(ctx, step, nil)
	if err != nil {
		return 0, 0, err
	}
	if !strings.Contains(result.Log, "kiln: reused (") {
		return 0, 0, fmt.Errorf("the image was not built ahead of its step:\n%s", result.Log)
	}
	return started.Duration, result.Duration, nil
}
