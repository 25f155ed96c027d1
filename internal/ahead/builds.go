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
	ErrBrought = errors.New("a step has brought the files itself")
)

// Bounds on what is remembered of the steps of a job, which may be any number and name
// anything. The wish of a Dockerfile that is not remembered is carried out.
const (
	maxBrought = 100   // Dockerfiles
	maxPath    = 4_096 // bytes of one's name, which no file has more of
)

// Builds are the builds that nobody waits for: those of the wishes of one job at a time.
// The zero value is ready; it is safe for concurrent use.
type Builds struct {
	mu      sync.Mutex
	job     string // whose
	over    error  // why none is carried out any more
	running map[string]*build
	brought map[string]bool // the Dockerfiles that steps of the job have brought
}

// A Source is what an image is built of: the Dockerfile, as the runner names it, and the
// digest of its context.
type Source struct{ Dockerfile, Context string }

// build is one that nobody waits for.
type build struct {
	cancel context.CancelCauseFunc
	of     Source // of no context until that is known
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
	b.job, b.over, b.brought = job, nil, nil
}

// Begin begins to carry a wish for a Dockerfile out: the context ends when ctx does, or the
// wishes of its job; end is called once everything of it is over. The error says why it is
// not carried out: also one that was taken before another job began is over then.
func (b *Builds) Begin(ctx context.Context, id, dockerfile string) (_ context.Context, end func(), err error) {
	job, _, _ := spool.ParseWishID(id)
	b.mu.Lock()
	defer b.mu.Unlock()
	if job != b.job {
		return nil, nil, ErrJobOver
	}
	if b.over != nil {
		return nil, nil, b.over
	}
	if b.brought[dockerfile] {
		return nil, nil, ErrBrought
	}
	ctx, cancel := context.WithCancelCause(ctx)
	if b.running == nil {
		b.running = map[string]*build{}
	}
	b.running[id] = &build{cancel: cancel, of: Source{Dockerfile: dockerfile}}
	return ctx, func() {
		cancel(nil)
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.running, id)
	}, nil
}

// Of says of what files a wish that was begun is built, by the digest of its context.
func (b *Builds) Of(id, digest string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if running := b.running[id]; running != nil {
		running.of.Context = digest
	}
}

// Wanted says that a step has brought a Dockerfile, with that context. Wishes of it are
// over, and none begins any more in this job: nobody asks for other files than the step's,
// and those the step has built. Only one that builds of the same files already goes on,
// since the step follows it.
func (b *Builds) Wanted(source Source) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rememberLocked(source.Dockerfile)
	for _, running := range b.running {
		if running.of.Dockerfile == source.Dockerfile && running.of.Context != source.Context {
			running.cancel(ErrBrought)
		}
	}
}

// rememberLocked remembers a Dockerfile of a step.
func (b *Builds) rememberLocked(dockerfile string) {
	if len(b.brought) >= maxBrought || len(dockerfile) > maxPath {
		return
	}
	if b.brought == nil {
		b.brought = map[string]bool{}
	}
	b.brought[dockerfile] = true
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
