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
	files := b.fresh()
	dir := runner.ActionDir(b.use().Uses)
	files[dir+".completed"] = harness.File{Data: []byte("done")}
	started, err := b.play(ctx, runner.Step{Repository: "acme/app", Command: runner.JobStarted}, files)
	if err != nil {
		return err
	}
	select {
	case <-time.After(aheadAfter):
	case <-ctx.Done():
		return ctx.Err()
	}
	result, err := b.play(ctx, b.action.Step(harness.Main, b.use()), nil)
	if err != nil {
		return err
	}
	if !strings.Contains(result.Log, "kiln: reused (") {
		return fmt.Errorf("the image was not built ahead of its step:\n%s", result.Log)
	}
	b.times[jobStart] = append(b.times[jobStart], started.Duration)
	b.times[kilnAhead] = append(b.times[kilnAhead], result.Duration)
	return nil
}
