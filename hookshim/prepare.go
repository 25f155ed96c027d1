package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/jobdir"
	"kiln/internal/spool"
)

// envExternals says how much of the runner's externals a job container gets.
const envExternals = "KILN_EXTERNALS"

// Values of it.
const (
	externalsLazy = "lazy" // the Node.js that a step names, when it does
	externalsAll  = "all"  // everything, at the job's beginning
)

// externalsTarget is where the runner's externals are in a job container.
const externalsTarget = "/__e"

// agentProgram is the job container's process, beside this program.
const agentProgram = "kiln-agent"

// minimalResponse is the smallest one that a runner reads.
const minimalResponse = `{"isAlpine":false}`

// A jobArgs is what this side reads of the arguments of prepare_job; the daemon
// gets all of them.
type jobArgs struct {
	Container *containerArgs  `json:"container"`
	Services  []containerArgs `json:"services"`
}

// A containerArgs is one container of a job.
type containerArgs struct {
	CreateOptions      string       `json:"createOptions"`
	SystemMountVolumes []hook.Mount `json:"systemMountVolumes"`
}

// externals is where the runner has what is /__e in the container.
func (c *containerArgs) externals() string {
	if c == nil {
		return ""
	}
	for _, m := range c.SystemMountVolumes {
		if m.TargetVolumePath == externalsTarget {
			return m.SourceVolumePath
		}
	}
	return ""
}

// all lists the containers, the job's own first.
func (a jobArgs) all() []containerArgs {
	if a.Container == nil {
		return a.Services
	}
	return append([]containerArgs{*a.Container}, a.Services...)
}

// prepareJob starts the job container and the services. Whatever comes of it,
// the runner finds a response that it can read.
func prepareJob(ctx context.Context, input hook.Input, out *lineWriter) (int, error) {
	// The smallest has its place on the work volume before anything else takes it.
	if err := writeResponse(input.ResponseFile, json.RawMessage(minimalResponse)); err != nil {
		return 1, err
	}
	code, response, err := prepare(ctx, input, out)
	if response == nil {
		response = json.RawMessage(minimalResponse)
	}
	if writeErr := writeResponse(input.ResponseFile, response); writeErr != nil && err == nil {
		return 1, writeErr
	}
	return code, err
}

func prepare(ctx context.Context, input hook.Input, out *lineWriter) (int, json.RawMessage, error) {
	args, err := readJobArgs(input.Args)
	if err != nil {
		return 1, nil, err
	}
	work, err := workFolder()
	if err != nil {
		return 1, nil, err
	}
	dir, err := jobdir.Make(work)
	if err != nil {
		return 1, nil, err
	}
	code, response, err := prepareIn(ctx, input, args, jobPlace{work, dir}, out)
	if code != 0 {
		// The end of the job comes without the name of the directory.
		err = errors.Join(err, jobdir.Sweep(work))
	}
	return code, response, err
}

// readJobArgs reads the arguments.
func readJobArgs(data json.RawMessage) (jobArgs, error) {
	var args jobArgs
	if err := hook.CheckBudget(data); err != nil {
		return args, failure.New(failure.BadRequest, "read the job's containers: %w", err)
	}
	if err := json.Unmarshal(data, &args); err != nil {
		return args, failure.New(failure.BadRequest, "read the job's containers: %w", err)
	}
	return args, nil
}

// A jobPlace is where a job lives on the work volume.
type jobPlace struct {
	work string
	dir  jobdir.Dir
}

// prepareIn has the daemon start the containers, and finds the way into the
// job's own.
func prepareIn(ctx context.Context, input hook.Input, args jobArgs, place jobPlace, out *lineWriter) (code int, response json.RawMessage, err error) {
	request, err := newJobRequest(input, args, place)
	if err != nil {
		return 1, nil, err
	}
	externals := args.Container.externals()
	brought, err := bringAll(ctx, place.dir, externals, out)
	if err != nil {
		return 1, nil, err
	}
	defer brought.end()
	step, err := openStep(out)
	if err != nil {
		return 1, nil, err
	}
	defer step.close()
	defer sayFirst(out, &err)
	if args.Container != nil {
		step.door = place.dir.Door()
	}
	if !request.Job.NoExec {
		if err := place.dir.CheckAgent(request.Job.Agent); err != nil {
			return 1, nil, err
		}
	}
	result, err := step.ask(ctx, request)
	if err != nil {
		return 1, nil, err
	}
	if code, err := step.finish(ctx, result); code != 0 || err != nil {
		return code, nil, err
	}
	if err := brought.wait(); err != nil {
		return 1, nil, err
	}
	response, err = enter(ctx, result.Response, place, args.Container, out)
	if err != nil {
		return 1, nil, err
	}
	return 0, response, nil
}

// enter finds the way into the job container and completes the response. A job
// of services alone has no container to enter.
func enter(ctx context.Context, response json.RawMessage, place jobPlace, container *containerArgs, out *lineWriter) (json.RawMessage, error) {
	var answered struct {
		State json.RawMessage `json:"state"`
	}
	if err := json.Unmarshal(response, &answered); err != nil {
		return nil, fmt.Errorf("read the daemon's response: %w", err)
	}
	j, err := readJob(answered.State)
	if err != nil && container != nil {
		return nil, err
	}
	j.Dir, j.Externals = place.dir.Name(), container.externals()
	if container != nil {
		if err := j.findDoor(ctx, place.dir); err != nil {
			return nil, err
		}
	}
	if j.short != "" {
		warn(out, "options: --ulimit: steps have the node's hard limits where they are lower than what was asked: %s", j.short)
	}
	return j.complete(response)
}

// newJobRequest gathers what the daemon cannot see.
func newJobRequest(input hook.Input, args jobArgs, place jobPlace) (spool.Request, error) {
	own, err := os.Executable()
	if err != nil {
		return spool.Request{}, fmt.Errorf("find the job container's process: %w", err)
	}
	noexec, sum := isNoexec(place.work), ""
	if !noexec {
		if sum, err = place.dir.PutAgent(filepath.Join(filepath.Dir(own), agentProgram)); err != nil {
			return spool.Request{}, err
		}
	}
	outside := args.outside()
	return spool.Request{Call: hook.PrepareJob, Args: input.Args, Job: &spool.Job{
		Dir: place.dir.Name(), Agent: sum, NoExec: noexec, Services: args.serviceNames(place.work), Files: outside.Files, Env: outside.Env,
		State: input.State,
	}}, nil
}

// A bringing is a copy of all externals, beside what the daemon does meanwhile.
type bringing struct {
	stop context.CancelFunc
	wait func() error // until it is done; nil where nothing is copied
}

// bringAll begins it where that is wanted.
func bringAll(ctx context.Context, dir jobdir.Dir, externals string, out *lineWriter) (bringing, error) {
	switch value := os.Getenv(envExternals); value {
	case externalsAll:
	case "", externalsLazy:
		externals = ""
	default:
		return bringing{}, failure.New(failure.Misconfigured, "%s is %q: write %s or %s", envExternals, value, externalsLazy, externalsAll)
	}
	ctx, stop := context.WithCancel(ctx)
	if externals == "" {
		return bringing{stop, func() error { return nil }}, nil
	}
	type outcome struct {
		size int64
		took time.Duration
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		start := time.Now()
		size, err := dir.BringAll(ctx, externals)
		done <- outcome{size, time.Since(start), err}
	}()
	return bringing{stop, sync.OnceValue(func() error {
		o := <-done
		if o.err == nil {
			say(out, "brought %s to the job container (%s)", externals, amount(o.size, o.took))
		}
		return o.err
	})}, nil
}

// end stops the copy, if it goes on, and waits for that: who removes the job's
// directory next finds nobody writing there.
func (b bringing) end() {
	b.stop()
	_ = b.wait()
}

// amount says how much was copied and how long it took.
func amount(size int64, took time.Duration) string {
	return fmt.Sprintf("%d MB in %s", (size+500_000)/1_000_000, took.Round(10*time.Millisecond))
}
