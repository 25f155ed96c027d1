package ahead

import (
	"context"
	"errors"
	"sync"

	"kiln/internal/spool"
)

// Why wishes are not carried out.
var (
	ErrNoRoom  = errors.New("what steps need goes first: the namespace or its nodes have no room for more pods")
	ErrJobOver = errors.New("the job is over")
	ErrChanged = errors.New("a step has brought other files")
)

// Builds are the builds that nobody waits for: those of the wishes of one job at a time.
// The zero value is ready; it is safe for concurrent use.
type Builds struct {
	mu      sync.Mutex
	job     string // whose
	over    error  // why none is carried out any more
	running map[string]*build
}

// A Source is what an image is built of: the Dockerfile, as the runner names it, and the
// digest of its context.
type Source struct{ Dockerfile, Context string }

// build is one that nobody waits for.
type build struct {
	cancel context.CancelCauseFunc
	of     Source // nothing until it is known
}

// BeginJob ends the wishes of the job before, and has those of job be carried out. It is
// called at the first sign of a job, which may come long before a wish of it has its turn.
func (b *Builds) BeginJob(job string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if job == b.job {
		return
	}
	b.endLocked(ErrJobOver)
	b.job, b.over = job, nil
}

// Begin begins to carry a wish out: the context ends when ctx does, or the wishes of its
// job; end is called once everything of it is over. The error says why no wish of its job
// is carried out: also one that was taken before another job began is over then.
func (b *Builds) Begin(ctx context.Context, id string) (_ context.Context, end func(), err error) {
	job, _, _ := spool.ParseWishID(id)
	b.mu.Lock()
	defer b.mu.Unlock()
	if job != b.job {
		return nil, nil, ErrJobOver
	}
	if b.over != nil {
		return nil, nil, b.over
	}
	ctx, cancel := context.WithCancelCause(ctx)
	if b.running == nil {
		b.running = map[string]*build{}
	}
	b.running[id] = &build{cancel: cancel}
	return ctx, func() {
		cancel(nil)
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.running, id)
	}, nil
}

// Of says what a wish that was begun is built of.
func (b *Builds) Of(id string, source Source) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if running := b.running[id]; running != nil {
		running.of = source
	}
}

// Wanted ends the wishes of a Dockerfile that a step has brought with another context:
// nobody asks for what they build.
func (b *Builds) Wanted(source Source) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, running := range b.running {
		if running.of.Dockerfile == source.Dockerfile && running.of.Context != source.Context {
			running.cancel(ErrChanged)
		}
	}
}

// Stop ends the wishes of the job for cause, those that wait included, and reports whether
// one was being carried out.
func (b *Builds) Stop(cause error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over == nil {
		b.over = cause
	}
	return b.endLocked(cause)
}

// endLocked ends what is running, and reports whether anything was.
func (b *Builds) endLocked(cause error) bool {
	for _, running := range b.running {
		running.cancel(cause)
	}
	return len(b.running) > 0
}
