package steplog

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"kiln/internal/metrics"
)

// Times are how long the phases of a step took, in the order in which they
// ended. They belong to the step's goroutine.
type Times struct {
	started time.Time
	last    time.Time
	phases  []phase
	counted *metrics.Metrics
	// took has the same by the names of the metrics, with what came before the
	// start and what lies within a phase.
	took map[metrics.Phase]time.Duration
}

// phase is one part of a step.
type phase struct {
	name string
	took time.Duration
}

// NewTimes starts the clock. What it measures is counted too.
func NewTimes(counted *metrics.Metrics) *Times {
	now := time.Now()
	return &Times{started: now, last: now, counted: counted, took: map[metrics.Phase]time.Duration{}}
}

// Started is when the clock was started.
func (t *Times) Started() time.Time { return t.started }

// Mark ends the phase name now.
func (t *Times) Mark(name string) {
	now := time.Now()
	t.phases = append(t.phases, phase{name: name, took: now.Sub(t.last)})
	t.Count(metricsPhase(name), now.Sub(t.last))
	t.last = now
}

// Queued says how long the step waited before its start; who gave it that start
// has counted it.
func (t *Times) Queued(waited time.Duration) { t.took[metrics.PhaseQueue] = waited }

// Count adds to a phase for the operator. The step's author sees what is marked.
func (t *Times) Count(phase metrics.Phase, took time.Duration) {
	t.took[phase] += took
	t.counted.PhaseEnded(phase, took)
}

// metricsPhase is the phase that the metrics know a phase of a step as: the
// author tells the action's pod from the build's, an operator need not.
func metricsPhase(name string) metrics.Phase {
	if name == "start" {
		return metrics.PhaseSchedule
	}
	return metrics.Phase(name)
}

// total is the time since the start.
func (t *Times) total() time.Duration { return t.last.Sub(t.started) }

// String lists the phases for the step's author.
func (t *Times) String() string {
	var b strings.Builder
	for _, p := range t.phases {
		fmt.Fprintf(&b, "%s %.2fs, ", p.name, p.took.Seconds())
	}
	fmt.Fprintf(&b, "total %.2fs", t.total().Seconds())
	return b.String()
}

// Fields lists for the operator's log, in seconds, the phases that the step went
// through, by the names and in the order of the metrics, and the time from its
// drop until now. A phase that it went through twice is one sum.
func (t *Times) Fields() []zap.Field {
	var fields []zap.Field
	for _, phase := range metrics.Phases() {
		if took, ok := t.took[phase]; ok {
			fields = append(fields, zap.Float64(string(phase)+"_seconds", took.Seconds()))
		}
	}
	total := t.took[metrics.PhaseQueue] + time.Since(t.started)
	return append(fields, zap.Float64("total_seconds", total.Seconds()))
}
