package steplog

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"kiln/internal/metrics"
)

// seconds are the fields of a line that are times.
func seconds(fields []zap.Field) map[string]float64 {
	core, logs := observer.New(zap.InfoLevel)
	zap.New(core).Info("", fields...)
	found := map[string]float64{}
	for name, value := range logs.All()[0].ContextMap() {
		if name, ok := strings.CutSuffix(name, "_seconds"); ok {
			found[name] = value.(float64)
		}
	}
	return found
}

// TestTimesOfTheOperator carries a step through all phases, some of them twice:
// the operator's line has each of the metrics once.
func TestTimesOfTheOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := NewTimes(nil)
		clock.Queued(7 * time.Second)
		for i, name := range []string{"context", "preflight", "lookup", "schedule", "build", "lookup", "assemble", "start", "run"} {
			time.Sleep(time.Duration(i+1) * time.Second)
			clock.Mark(name)
		}
		clock.Count(metrics.PhasePush, 2*time.Second)
		time.Sleep(time.Second) // until the result
		want := map[string]float64{
			"queue": 7, "context": 1, "preflight": 2, "lookup": 3 + 6, "schedule": 4 + 8, "build": 5, "push": 2, "assemble": 7, "run": 9,
			"total": 7 + 45 + 1,
		}
		if diff := cmp.Diff(want, seconds(clock.Fields())); diff != "" {
			t.Errorf("times (-want +got):\n%s", diff)
		}
		jobs := []metrics.Phase{metrics.PhaseServices, metrics.PhaseCleanup}
		for _, phase := range metrics.Phases() {
			if _, ok := want[string(phase)]; !ok && !slices.Contains(jobs, phase) {
				t.Errorf("no phase %s", phase)
			}
		}
	})
}
