package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
)

// defaultRepository is the workflow's, where a step does not say.
const defaultRepository = "acme/app"

// A Playing is a step that is being played. It may be used from several goroutines.
type Playing struct {
	log    *LiveLog
	done   chan struct{}
	result *harness.Result
	err    error
}

// Start plays a step as [Fixture.Play] does, and does not wait for its end. When ctx ends,
// it is no longer watched; it goes on in the runner pod.
func (f *Fixture) Start(ctx context.Context, s runner.Step, files harness.Files) *Playing {
	if s.Repository == "" {
		s.Repository = defaultRepository
	}
	p := &Playing{log: NewLiveLog(), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer p.log.End()
		p.result, p.err = f.Step(ctx, s, files, p.log)
	}()
	return p
}

// errEnded says that a step is over.
var errEnded = errors.New("the step has ended")

// While is a context that ends when the step does.
func (p *Playing) While(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		<-p.done
		cancel(errEnded)
	}()
	return ctx
}

// Await waits for a text of the step's log, and ends the test when the step ends without
// it.
func (p *Playing) Await(t *testing.T, text string) {
	t.Helper()
	err := p.log.Await(t.Context(), text)
	if err == nil {
		return
	}
	// The live log may lack what the result has.
	if t.Context().Err() == nil {
		if result, ended := p.End(); ended == nil && strings.Contains(result.Log, text) {
			return
		}
	}
	t.Fatalf("the step's log: %v:\n%s", err, outcome.Tail(p.log.String()))
}

// End waits for the end of the step and returns what came of it.
func (p *Playing) End() (*harness.Result, error) {
	<-p.done
	return p.result, p.err
}

// Wait waits for the end of the step; it ends the test when it was not played to it.
func (p *Playing) Wait(t *testing.T) *harness.Result {
	t.Helper()
	result, err := p.End()
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A LiveLog is a log as it comes, of which a text can be awaited. It may be used from
// several goroutines.
type LiveLog struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed when there is more, or the end
	ended   bool
}

// NewLiveLog returns an empty log.
func NewLiveLog() *LiveLog { return &LiveLog{changed: make(chan struct{})} }

// Write adds to the log.
func (l *LiveLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	l.wake()
	return len(p), nil
}

// End says that no more comes.
func (l *LiveLog) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.wake()
}

func (l *LiveLog) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// String is the log so far.
func (l *LiveLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Await returns nil once the log has the text, and an error when it ends without it or ctx
// is over.
func (l *LiveLog) Await(ctx context.Context, text string) error {
	for {
		l.mu.Lock()
		has, ended, changed := bytes.Contains(l.text.Bytes(), []byte(text)), l.ended, l.changed
		l.mu.Unlock()
		switch {
		case has:
			return nil
		case ended:
			return fmt.Errorf("it ended without %q", text)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %q: %w", text, ctx.Err())
		}
	}
}
