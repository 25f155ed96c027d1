package main

import (
	"context"
	"fmt"

	"kiln/internal/hook"
	"kiln/internal/jobdir"
	"kiln/internal/spool"
)

// cleanUpJob ends a job's containers and removes its directory. Its exit code
// is always 0: another one would fail a job that has done all its steps
// (actions/runner, JobExtension.cs). What is left goes with the runner pod.
func cleanUpJob(ctx context.Context, input hook.Input, out *lineWriter) (int, error) {
	if err := cleanUp(ctx, input, out); err != nil {
		warn(out, "the job's containers may be left until the runner pod ends: %v", err)
	}
	work, err := workFolder()
	if err == nil {
		err = jobdir.Sweep(work)
	}
	if err != nil {
		warn(out, "%v", err)
	}
	return 0, nil
}

// cleanUp has the daemon remove what it made.
func cleanUp(ctx context.Context, input hook.Input, out *lineWriter) error {
	request := spool.Request{Call: hook.CleanupJob, Args: input.Args, Job: &spool.Job{State: input.State}}
	if j, err := readJob(input.State); err == nil { // else prepare_job failed: the daemon looks by itself
		request.Job.Dir = j.Dir
	}
	step, err := openStep(out)
	if err != nil {
		return err
	}
	defer step.close()
	result, err := step.ask(ctx, request)
	if err != nil {
		return err
	}
	if result.Message != "" {
		warn(out, "%s", result.Message)
	}
	return nil
}

// warn tells the job's author on a line of its own.
func warn(out *lineWriter, format string, args ...any) {
	out.endLine()
	fmt.Fprintf(out, "::warning::kiln: %s\n", hook.EscapeData(fmt.Sprintf(format, args...)))
}
