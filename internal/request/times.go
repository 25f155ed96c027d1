package request

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"kiln/internal/metrics"
)

// times are how long the phases of a step took, in the order in which they
// ended.
type times struct {
	started time.Time
	last    time.Time
	phases  []phase
	counted *metrics.Metrics
}

// phase is one part of a step.
type phase struct {
	name string
	took time.Duration
}

// newTimes starts the clock. What it measures is counted too.
func newTimes(counted *metrics.Metrics) *times {
	now := time.Now()
	return &times{started: now, last: now, counted: counted}
}

// mark ends the phase name now.
func (t *times) mark(name string) {
	now := time.Now()
	t.phases = append(t.phases, phase{name: name, took: now.Sub(t.last)})
	t.counted.PhaseEnded(metricsPhase(name), now.Sub(t.last))
	t.last = now
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
func (t *times) total() time.Duration { return t.last.Sub(t.started) }

// String lists the phases for the step's author.
func (t *times) String() string {
	var b strings.Builder
	for _, p := range t.phases {
		fmt.Fprintf(&b, "%s %.2fs, ", p.name, p.took.Seconds())
	}
	fmt.Fprintf(&b, "total %.2fs", t.total().Seconds())
	return b.String()
}

// fields lists the phases for the operator's log, in seconds.
func (t *times) fields() []zap.Field {
	fields := make([]zap.Field, 0, len(t.phases)+1)
	for _, p := range t.phases {
		fields = append(fields, zap.Float64(p.name+"_seconds", p.took.Seconds()))
	}
	return append(fields, zap.Float64("total_seconds", t.total().Seconds()))
}
