package request

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"kiln/internal/metrics"
	"kiln/internal/spool"
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
		clock := newTimes(nil)
		clock.queued(7 * time.Second)
		for i, name := range []string{"context", "preflight", "lookup", "schedule", "build", "lookup", "start", "run"} {
			time.Sleep(time.Duration(i+1) * time.Second)
			clock.mark(name)
		}
		clock.count(metrics.PhasePush, 2*time.Second)
		time.Sleep(time.Second) // until the result
		want := map[string]float64{
			"queue": 7, "context": 1, "preflight": 2, "lookup": 3 + 6, "schedule": 4 + 7, "build": 5, "push": 2, "run": 8,
			"total": 7 + 36 + 1,
		}
		if diff := cmp.Diff(want, seconds(clock.fields())); diff != "" {
			t.Errorf("times (-want +got):\n%s", diff)
		}
		for _, phase := range metrics.Phases() {
			if _, ok := want[string(phase)]; !ok {
				t.Errorf("no phase %s", phase)
			}
		}
	})
}

// TestTheLineOfAStep: a step that ends at once has its line too.
func TestTheLineOfAStep(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	h := &Handler{Log: zap.New(core)}
	claim := claimOf(t, spool.Request{Args: []byte(`{}`)})
	claim.Dropped = time.Now().Add(-time.Minute)
	if code := h.Handle(t.Context(), claim); code != 1 {
		t.Errorf("code %d", code)
	}
	lines := logs.FilterMessage("step ended").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	line := lines[0].ContextMap()
	if line["request"] != claim.ID || line["exit_code"] != int64(1) || line["reason"] != "bad_request" || line["queue_seconds"].(float64) < 60 || line["total_seconds"].(float64) < 60 {
		t.Errorf("line %v", line)
	}
}

// claimOf hands a request over as a shim does and claims it.
func claimOf(t *testing.T, request spool.Request) *spool.Claim {
	t.Helper()
	exchange, err := spool.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exchange.Close() })
	if err := exchange.Init(); err != nil {
		t.Fatal(err)
	}
	draft, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(draft.Remove)
	if err := draft.Drop(request); err != nil {
		t.Fatal(err)
	}
	claim, err := exchange.Claim(draft.ID, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(claim.Close)
	return claim
}
