package actionrun

import (
	"context"
	"errors"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/action"
	"kiln/internal/agent"
	"kiln/internal/registry"
	"kiln/internal/spool"
)

// An Outlet is where an action can print to directly, past its container's log.
type Outlet struct {
	// At is where it is.
	At spool.Outlet
	// Shim is who has it at the other end.
	Shim Shim
}

// Shim knows whether an action prints into its outlet, as [spool.Claim] hears of it.
type Shim interface {
	// Flush publishes what was written to the step's log.
	Flush() error
	// Want asks for the statement that Way returns once it is there.
	Want() error
	Way() spool.Way
	// Exit is the exit code that the action has told it, if it has told one.
	Exit() (code int, told bool)
}

// How long an action that runs is given to have an outlet before the shim has to say
// whether it has, how long the shim then may take, and how often it is looked.
const (
	outletGrace    = 3 * time.Second
	statementLimit = time.Minute
	statementPoll  = 20 * time.Millisecond
)

// How often it is looked whether the action has told its end: what that adds is a
// hundredth of the time that the action takes, within these bounds.
const (
	leastPause = 2 * time.Millisecond
	mostPause  = 100 * time.Millisecond
	pausePart  = 100
)

// errNoOutlet says that the program that takes an outlet could not be started: the
// work volume lets nothing be executed, or something else is in its place there.
var errNoOutlet = errors.New("the agent cannot be started in the action's container")

// openOutlet has the action of job print into the step's outlet, if the step has one
// and what the container starts with is known. Everything that was written to the
// step's log before is before the action's output.
func (a *Action) openOutlet(job *batchv1.Job, start registry.Start) error {
	named := a.step.Container.EntryPoint != ""
	if a.step.Outlet == nil || a.nodeName() == "" || !named && len(start.Entrypoint)+len(start.Cmd) == 0 {
		return nil
	}
	if !agent.Starts(a.goMemory(job, start)) {
		a.step.Log.Debug("the action's output is read from the node: its %s is malformed, and the hook's program in its container is one in Go", agent.MemoryVariable)
		return nil
	}
	action.OpenOutlet(job, a.step.Outlet.At, start.Entrypoint, start.Cmd)
	return a.step.Outlet.Shim.Flush()
}

// goMemory is the GOMEMLIMIT that the action's container has: the step's, else the
// operator's template's, where that says it literally, else the image's.
func (a *Action) goMemory(job *batchv1.Job, start registry.Start) string {
	if limit, set := a.step.Container.EnvironmentVariables[agent.MemoryVariable]; set {
		return limit
	}
	limit := start.GoMemory
	for _, c := range job.Spec.Template.Spec.Containers {
		for _, variable := range c.Env {
			if c.Name == action.ContainerName && variable.Name == agent.MemoryVariable && variable.ValueFrom == nil {
				limit = variable.Value
			}
		}
	}
	return limit
}

// output has the action's output in the step's log: it is there already if the action
// prints into the outlet, and else read from the node.
func (r *run) output(ctx context.Context, pod *corev1.Pod) error {
	if action.HasOutlet(&pod.Spec) && r.action.step.Outlet != nil {
		taken, err := r.stated(ctx)
		if err != nil || taken {
			return err
		}
		r.action.step.Log.Debug("the action's output is read from the node: its container does not reach the hook")
	}
	return r.show(ctx, pod)
}

// stated waits until the shim has said whether the action prints into the outlet. What
// it says is final, so that the output comes one way and not both.
func (r *run) stated(ctx context.Context) (bool, error) {
	shim := r.action.step.Outlet.Shim
	ticker := time.NewTicker(statementPoll)
	defer ticker.Stop()
	over, grace := r.over, time.After(outletGrace)
	var limit <-chan time.Time
	for {
		if way := shim.Way(); way != spool.Undecided {
			return way == spool.Taken, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-limit:
			return false, errors.New("the hook does not say whether it has the output")
		case <-ticker.C:
			continue
		case <-over:
		case <-grace:
		}
		if err := shim.Want(); err != nil {
			return false, err
		}
		over, grace, limit = nil, nil, time.After(statementLimit)
	}
}

// attend passes on what the shim says of an action that prints into the outlet: that it
// runs, and the exit code that it tells. The cluster tells both too, up to a second later
// each.
func (r *run) attend(ctx context.Context) {
	shim, began := r.action.step.Outlet.Shim, time.Now()
	for way := shim.Way(); way != spool.Taken; way = shim.Way() {
		if way == spool.Shut || !pause(ctx, began) {
			return
		}
	}
	close(r.taken)
	for {
		if code, told := shim.Exit(); told {
			r.told <- code
			return
		}
		if !pause(ctx, began) {
			return
		}
	}
}

// pause waits for a part of the time since then, and reports whether ctx goes on.
func pause(ctx context.Context, since time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(min(max(time.Since(since)/pausePart, leastPause), mostPause)):
		return true
	}
}

// tellOver says that the action's container has ended.
func (r *run) tellOver() {
	if r.isOver || !podOver(r.pod) {
		return
	}
	r.isOver = true
	close(r.over)
}

// viaAgent returns how a container ended that started with the agent, as if it had
// started with the action: what the agent cannot execute was not started.
func viaAgent(pod *corev1.Pod, end *corev1.ContainerStateTerminated) (*corev1.ContainerStateTerminated, error) {
	if !action.HasOutlet(&pod.Spec) {
		return end, nil
	}
	if notStarted(end) && strings.Contains(end.Message, action.OutletTarget) {
		return end, errNoOutlet
	}
	if why, isAgents := strings.CutPrefix(end.Message, agent.NotStarted); isAgents {
		end = end.DeepCopy()
		end.Reason, end.Message = startError, why
	}
	return end, nil
}
