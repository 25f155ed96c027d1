package app_test

import (
	"context"
	"testing"

	"kiln/internal/spool"
)

// TestRestartLeavesSomething: what the handler could not delete behind a step that it went
// on with is deleted later, and the state keeps the step as long.
func TestRestartLeavesSomething(t *testing.T) {
	draft, exchange, state, settings := leftOver(t)
	handler := &scripted{
		handle: func(_ context.Context, claim *spool.Claim) int {
			claim.Left = true
			return 3
		},
		discarded: make(chan string),
	}
	daemon(t, handler, settings)
	if got, _ := result(t, draft); got.ExitCode != 3 {
		t.Errorf("result = %+v", got)
	}
	if ids, err := state.Accepted(); err != nil || len(ids) != 1 {
		t.Errorf("the state keeps %v, %v, want the step", ids, err)
	}
	if id := <-handler.discarded; id != draft.ID {
		t.Errorf("discarded %s", id)
	}
	eventually(t, func() bool { ids, err := state.Accepted(); return err == nil && len(ids) == 0 })
	draft.Remove()
	eventually(t, func() bool { return empty(t, exchange) })
}
