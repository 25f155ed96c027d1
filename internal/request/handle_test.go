package request

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"kiln/internal/spool"
)

// TestTheLineOfAStep: a step that ends at once has its line too.
func TestTheLineOfAStep(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	state, err := spool.OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{logger: zap.New(core), state: state}
	claim := claimOf(t, spool.Request{Args: []byte(`{}`)})
	if err := state.Accept(claim.ID); err != nil {
		t.Fatal(err)
	}
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
