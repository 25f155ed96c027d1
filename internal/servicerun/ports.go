package servicerun

import (
	"fmt"
	"strings"

	"go.uber.org/zap"

	"kiln/internal/forward"
	"kiln/internal/hook"
	"kiln/internal/jobrun"
)

// Close closes the ports of the job. The job itself goes on.
func (r *Runner) Close() { r.options.Ports.Close() }

// Resume goes on with the ports of a job that was ready when an earlier run of the daemon
// ended, all those that it can; the error is about the others, of which [Runner.Tell]
// tells the author. It is called before any other method.
func (r *Runner) Resume() error {
	record, err := r.options.State.NotedServices()
	if err != nil || len(record.Ports) == 0 {
		return err
	}
	rules := make([]forward.Rule, len(record.Ports))
	for i, port := range record.Ports {
		rules[i] = forward.Rule(port)
	}
	if err := r.options.Ports.Resume(rules); err != nil {
		return fmt.Errorf("open the ports of the job's services again: %w", err)
	}
	return nil
}

// Tell warns the author of a call about ports that could not be opened again: once in a
// job, also over further restarts, unless they are others then.
func (r *Runner) Tell(call jobrun.Call) {
	lost := r.options.Ports.Lost()
	if lost == nil {
		return
	}
	text := strings.ReplaceAll(lost.Error(), "\n", "; ")
	record, err := r.options.State.NotedServices()
	if err == nil && len(record.Ports) > 0 && record.Warned != text {
		call.Log.Line("::warning::kiln: after a restart of kiln's daemon steps do not reach all services any more: %s", hook.EscapeData(text))
		call.Log.Flush()
		record.Warned = text
		err = r.options.State.NoteServices(record)
	}
	if err != nil {
		call.Logger.Warn("tell the author of lost ports", zap.Error(err))
	}
}
