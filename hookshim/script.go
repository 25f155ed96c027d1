package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"kiln/internal/agent"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/spool"
)

// Waiting times of a step in the job container. The runner sends SIGINT, SIGTERM
// 7.5 s later, and kills 10 s after the first (actions/runner,
// ProcessInvoker.cs).
const (
	killGrace   = 9 * time.Second        // from the first signal until the step is killed
	reapGrace   = 700 * time.Millisecond // from there to the end of this process
	explainWait = 25 * time.Second       // for the daemon to say why the container ended; it waits 20 s for the node
)

// exitKilled is the code of a step whose container ended under it.
const exitKilled = 128 + int(syscall.SIGKILL)

// A scriptStep is a step in the job container: a script or a JavaScript action.
// It takes neither daemon nor API server.
type scriptStep struct {
	script hook.Script
	job    job
	state  json.RawMessage
	out    *lineWriter
}

func newScriptStep(input hook.Input, out *lineWriter) (*scriptStep, error) {
	script, err := input.Script()
	if err != nil {
		return nil, err
	}
	j, err := readJob(input.State)
	return &scriptStep{script: script, job: j, state: input.State, out: out}, err
}

// run starts the step and stays with it to its end.
func (s *scriptStep) run(ctx context.Context, signals <-chan syscall.Signal) (int, error) {
	work, err := workFolder()
	if err != nil {
		return 1, err
	}
	door, err := s.job.door(work)
	if err != nil {
		return 1, err
	}
	argv := s.script.Argv()
	if isNode(argv[0]) {
		if argv[0], err = s.bringNode(ctx, work, argv[0]); err != nil {
			return noNodeCode(err), err
		}
	}
	widen(syscall.Stdout, widePipe)
	relayed, stop := relay(signals)
	defer stop()
	outcome, err := door.Run(context.WithoutCancel(ctx), agent.Step{
		Call: agent.Call{
			Argv: argv, Env: s.script.Env(), Prepend: s.script.PrependPath, Dir: s.script.WorkingDirectory,
		},
		Output: s.out, Signals: relayed,
	})
	if errors.Is(err, agent.ErrGone) || errors.Is(err, agent.ErrShut) {
		return s.explain(ctx, err)
	}
	if err != nil {
		return 1, err
	}
	return s.end(ctx, outcome)
}

// end turns the outcome into the hook's: what the runner does not say itself is
// said.
func (s *scriptStep) end(ctx context.Context, outcome agent.Outcome) (int, error) {
	switch {
	case outcome.NotStarted != "":
		return outcome.Code, failure.New(failure.BadRequest, "the step was not started: %s", outcome.NotStarted)
	case ctx.Err() != nil:
		return max(outcome.Code, 1), context.Cause(ctx)
	case outcome.Stopping:
		return s.explain(ctx, agent.ErrGone)
	case outcome.OutOfMemory && outcome.Code != 0:
		return outcome.Code, outOfMemory(outcome)
	case isNode(s.script.EntryPoint) && outcome.Code == exitNotFound:
		return outcome.Code, lacksNode()
	}
	return outcome.Code, nil
}

// outOfMemory is the error of a step of which the system has killed a process, and left
// the container alone.
func outOfMemory(outcome agent.Outcome) error {
	limit := "its node has"
	if outcome.MemoryLimit > 0 {
		limit = fmt.Sprintf("its limit of %dMi", outcome.MemoryLimit>>20)
	}
	return failure.New(failure.OutOfMemory, "a process in the job container was killed (OOM) because its processes used more memory than %s: let the step need less, or give the job more with options: --memory, or have an operator raise the limit in the pod template", limit)
}

// relay passes the runner's signals on to the step, and SIGKILL before the
// runner kills this process: what is left of the step's output is printed then.
func relay(signals <-chan syscall.Signal) (relayed <-chan syscall.Signal, stop func()) {
	to, done := make(chan syscall.Signal), make(chan struct{})
	go func() {
		var late <-chan time.Time
		for {
			next := syscall.SIGKILL
			select {
			case next = <-signals:
				if late == nil {
					late = time.After(killGrace)
				}
			case <-late:
				late = make(chan time.Time) // only once
			case <-done:
				return
			}
			select {
			case to <- next:
			case <-done:
				return
			}
		}
	}()
	return to, func() { close(done) }
}

// explain asks the daemon why the job container is gone: the cluster knows, and
// this process does not. A daemon that does not answer leaves it at that.
func (s *scriptStep) explain(ctx context.Context, gone error) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, explainWait)
	defer cancel()
	unknown := failure.New(failure.NotStarted, "%w", gone)
	step, err := openStep(s.out)
	if err != nil {
		return exitKilled, unknown
	}
	defer step.close()
	request := spool.Request{Call: hook.ExplainJob, Args: json.RawMessage("{}"), Job: &spool.Job{Dir: s.job.Dir, State: s.state}}
	s.out.endLine()
	result, err := step.ask(ctx, request)
	if err != nil || result.ExitCode == 0 {
		return exitKilled, unknown
	}
	return step.finish(ctx, result)
}
