package podlog

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// finalTries bounds how often the log of an ended container is asked for
// without learning anything: about 12 seconds with the pauses of retries.
const finalTries = 8

// emptyTries is how often an ended container's log is asked for again that
// brings nothing, not even what was read before, within a third of a second. A
// log may be empty, or its file new; a stream that breaks before its first line
// looks the same.
const emptyTries = 2

// unreachable is how long the log of a running container is asked for without
// ever getting an answer from its node. A kubelet that restarts is back sooner.
const unreachable = 2 * time.Minute

// retryCap is the longest pause between two tries.
const retryCap = 5 * time.Second

// IncompleteError says that a log may have ended early, because of Cause.
type IncompleteError struct{ Cause error }

// Error implements error.
func (e *IncompleteError) Error() string { return "log may be incomplete: " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *IncompleteError) Unwrap() error { return e.Cause }

// Follow hands the whole log of a container to sink, in order, each byte once,
// and returns when the container has ended and all of it was read. It waits for
// a container that has not started. A container that never ran has an empty log.
//
// from is where an earlier reader of the log has come, zero for its beginning. It need
// not have been of this process.
//
// sink receives one line per call with its '\n', whatever else it holds; a last
// line without '\n' comes as it is. A line longer than 1 MiB comes in several
// pieces of which only the last ends in '\n'. The slice is valid during the call.
// sink receives nil where lines may be missing because the kubelet rotated a log
// file away unread; see gap for what that rests on.
//
// An error of sink ends Follow and is returned as it is. While sink blocks,
// nothing more is read from the node.
//
// The end of a stream is not the end of the log: kubelet restarts, rotated log
// files, API servers and load balancers end it, mostly without an error. Follow
// asks again from the last timestamp and passes on what it has not seen, until
// the container has ended and a last read brought nothing new, or three of them
// nothing at all.
//
// A node of which no stream could be opened for two minutes is given up: no
// route leads to its kubelet. Once there was one, breaks of any length are
// survived.
//
// Where it cannot be known that all was read, the error is an [IncompleteError]
// of what the source said, and the log may end early.
func Follow(ctx context.Context, source Source, from Position, sink Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	life := watchLife(ctx, source)
	defer func() {
		cancel()
		<-life.ended
	}()
	f := follower{source: source, life: life, lines: newLines(sink)}
	f.lines.gap.begun = life.begun
	f.lines.from(from)
	defer f.spares.drop()
	return f.run(ctx)
}

// follower is one Follow call.
type follower struct {
	source Source
	life   *life
	lines  *lines
	// spares are open beside the present stream, or were beside the one before.
	spares spares
	// looked is when a spare was last opened for a stream that is behind.
	looked time.Time
	// reached: the node has answered.
	reached bool
}

// run reads streams until the log is known to be complete.
func (f *follower) run(ctx context.Context) error {
	now, err := f.begin(ctx)
	if err != nil {
		return err
	}
	pause, futile, empty, began := retries(), 0, 0, time.Now()
	for {
		if now.err != nil {
			return f.incomplete(now.err)
		}
		if now.Over && !now.Ran {
			return nil
		}
		whole, err := f.read(ctx, !now.Over)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case f.lines.sinkErr != nil:
			return f.lines.sinkErr
		case whole && err == nil && !f.lines.progress:
			if empty++; f.lines.heard || empty > emptyTries {
				return f.lines.finish()
			}
		case f.source.Final(err):
			return f.incomplete(err)
		case now.Over && err == nil:
			futile = 0
			continue
		case f.lines.progress:
			pause, futile = retries(), 0
		case !now.Over && !f.reached && time.Since(began) > unreachable:
			return f.incomplete(err)
		case now.Over:
			if futile++; futile == finalTries {
				return f.incomplete(err)
			}
		}
		now = f.life.next(ctx, now, pause)
	}
}

// begin waits until the container has run, is over, or is lost. It asks for the
// log at once, since who calls has mostly seen it start: on a busy node each
// answer takes a second, and a log file that is rotated before it was opened is
// lost. What comes of that is no more than what was read.
func (f *follower) begin(ctx context.Context) (phase, error) {
	_, _ = f.read(ctx, true)
	if f.lines.sinkErr != nil {
		return phase{}, f.lines.sinkErr
	}
	if !f.lines.heard { // a pod without a node has an empty log
		f.reached, f.lines.gap.first = false, time.Time{}
	}
	return f.life.started(ctx)
}

// incomplete ends a log whose end is not certain.
func (f *follower) incomplete(cause error) error {
	if err := f.lines.finish(); err != nil {
		return err
	}
	return &IncompleteError{Cause: cause}
}

// read feeds one stream to the lines until it ends or another has to take its
// place. whole: it was asked for to its present end, which it has reached unless
// there is an error.
func (f *follower) read(ctx context.Context, follow bool) (whole bool, err error) {
	f.lines.progress = false
	stream := f.spares.take(f.lines.last)
	if stream == nil {
		if stream, err = f.open(ctx, follow); err != nil {
			return false, err
		}
	}
	f.reached = true
	guarded := make(chan struct{})
	done := make(chan struct{})
	before := f.lines.sent.Load() // here: the guard may start after the first bytes
	go func() {
		defer close(guarded)
		f.guard(ctx, done, stream, before)
	}()
	err = f.lines.read(stream, stream.resumed)
	close(done)
	<-guarded
	stream.close()
	return !stream.follow, err
}

// open opens a stream where the last one broke.
func (f *follower) open(ctx context.Context, follow bool) (*stream, error) {
	return openStream(ctx, f.source, f.lines.last, follow)
}

// retries returns the pauses between tries: 100 ms doubling to retryCap.
func retries() *wait.Backoff {
	return &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 1 << 30, Cap: retryCap}
}
