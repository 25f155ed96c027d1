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
	phases  []Phase
	counted *metrics.Metrics
	// took has the same by the names of the metrics, with what came before the
	// start and what lies within a phase.
	took map[metrics.Phase]time.Duration
	// earlier are the phases that ended in an earlier run of the daemon.
	earlier map[string]int
	keep    func(Phases)
}

// Phases are those of a step that have ended, as they are kept over a restart.
type Phases struct {
	// Started is the step's start, and Last the end of the last phase.
	Started time.Time `json:"started"`
	Last    time.Time `json:"last"`
	Ended   []Phase   `json:"ended"`
}

// Phase is one part of a step.
type Phase struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took"`
}

// NewTimes starts the clock. What it measures is counted too.
func NewTimes(counted *metrics.Metrics) *Times {
	now := time.Now()
	return &Times{started: now, last: now, counted: counted, took: map[metrics.Phase]time.Duration{}}
}

// Resume goes on with the clock of an earlier run of the daemon. A phase that had ended
// then, and that this run has to go through again, counts once.
func (t *Times) Resume(from Phases) {
	t.started, t.last, t.phases = from.Started, from.Last, from.Ended
	t.earlier = map[string]int{}
	for _, p := range from.Ended {
		t.earlier[p.Name]++
		t.took[metricsPhase(p.Name)] += p.Took
	}
}

// Keep has keep called with the phases, now and after each that ends.
func (t *Times) Keep(keep func(Phases)) {
	t.keep = keep
	t.kept()
}

// kept tells the phases.
func (t *Times) kept() {
	if t.keep != nil {
		t.keep(Phases{Started: t.started, Last: t.last, Ended: t.phases})
	}
}

// Started is when the clock was started.
func (t *Times) Started() time.Time { return t.started }

// Mark ends the phase name now.
func (t *Times) Mark(name string) {
	if t.earlier[name] > 0 {
		t.earlier[name]--
		return
	}
	now := time.Now()
	t.phases = append(t.phases, Phase{Name: name, Took: now.Sub(t.last)})
	t.Count(metricsPhase(name), now.Sub(t.last))
	t.last = now
	t.kept()
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
		fmt.Fprintf(&b, "%s %.2fs, ", p.Name, p.Took.Seconds())
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
