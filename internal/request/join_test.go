package request

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kiln/internal/steplog"
)

// TestTheErrorComesAfterTheOutput ends a run whose action is in the middle of
// its output and has stopped workflow commands.
func TestTheErrorComesAfterTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		r := &actionRun{step: &step{log: steplog.New(&out, "", false)}, logged: make(chan error, 1), following: true}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-ctx.Done()
			time.Sleep(joinGrace / 2)
			r.step.log.Line("the last line")
			r.step.log.Stopped("x")
			r.logged <- ctx.Err()
		}()
		r.join(cancel)
		r.step.log.Error(errors.New("late"))
		if want := "the last line\n::x::\n::error::kiln: late [internal]\n"; out.String() != want {
			t.Errorf("log %q, want %q", out.String(), want)
		}
	})
}

// TestABlockedLogIsNotWaitedFor: a shim that prints nothing holds up no step.
func TestABlockedLogIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &actionRun{logged: make(chan error), following: true}
		began := time.Now()
		r.join(func() {})
		if took := time.Since(began); took != joinGrace {
			t.Errorf("join took %s, want %s", took, joinGrace)
		}
		r.read = true
		r.join(func() {})
		if took := time.Since(began); took != joinGrace {
			t.Errorf("waited for a log that was read")
		}
	})
}
