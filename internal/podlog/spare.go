package podlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

// How long a stream may be silent before another is opened beside it.
const (
	// quietBurst is for a stream that has just brought much. The kubelet
	// misses a rotation that happens before it has read a file to its end
	// once, and goes on waiting at the end of the old file.
	quietBurst = 2 * time.Second
	// quietOver is for the stream of an ended container, which the kubelet
	// ends by itself within a second.
	quietOver = 10 * time.Second
	// quiet is for any other stream: a connection may be dead on one side.
	quiet = time.Minute
	// burst is how many bytes are much.
	burst = 1 << 20
	// tick is how often a stream's silence is looked at.
	tick = time.Second
)

// How a stream that is behind is prepared for the rotation of its file: at least
// twice within the ten seconds that a file lasts.
const (
	// lagging is how old a line may be when it is read.
	lagging = 2 * time.Second
	// lookAgain is the time between two looks at the newest file.
	lookAgain = 4 * time.Second
	// maxSpares bounds the open files beside the one that is read. Each takes as
	// much memory as its connection lets in unread.
	maxSpares = 2
)

// spare is a stream that is opened beside another, of the file that is the newest
// then. It is opened for one of two reasons.
//
// The other is silent: it may be at the end of a file that was rotated, or be held
// up on its way, on a node that is too busy: then it is the only one that still has
// the rest of that file. So it is kept until the spare has spoken, which shows that
// the way is free, and until it is silent for quietBurst after that.
//
// The other is behind: its file may be rotated while it is read, and the next one
// too. A spare of a newer file keeps that one open until its turn; of the same file
// it is of no use.
type spare struct {
	// last is the time of the last line that was read when it was opened.
	last time.Time
	// asked is when.
	asked  time.Time
	cancel context.CancelFunc
	// heard is closed once it has brought its first bytes, has ended, or failed;
	// what follows is set before.
	heard chan struct{}
	// stream is nil where it failed.
	stream *stream
	spoke  time.Time
	// first is the time of its first line, zero where it has none.
	first time.Time
}

// openSpare opens a spare where last was the last line read. One that begins no later
// than beyond, unless that is zero, is of no use and closed at once.
func (f *follower) openSpare(ctx context.Context, last, beyond time.Time) *spare {
	ctx, cancel := context.WithCancel(ctx)
	s := &spare{last: last, asked: time.Now(), cancel: cancel, heard: make(chan struct{})}
	go func() {
		defer close(s.heard)
		opened, err := openStream(ctx, f.source, last, !f.life.isOver())
		if err != nil {
			return
		}
		head := make([]byte, 4<<10)
		n, err := opened.body.Read(head)
		s.first, _, _ = cutTimestamp(head[:n])
		if err != nil && !errors.Is(err, io.EOF) || !beyond.IsZero() && !s.first.After(beyond) {
			opened.close()
			return
		}
		opened.body = headed{io.MultiReader(bytes.NewReader(head[:n]), opened.body), opened.body}
		s.stream, s.spoke = opened, time.Now()
	}()
	return s
}

// isHeard reports whether it is known what becomes of the spare.
func (s *spare) isHeard() bool {
	select {
	case <-s.heard:
		return true
	default:
		return false
	}
}

// failed reports whether the spare could not be opened, some time ago.
func (s *spare) failed(now time.Time) bool {
	return s.isHeard() && s.stream == nil && now.Sub(s.asked) > retryCap
}

// replaces reports whether the silent stream is to be let go: the spare has spoken,
// or says nothing either for as long as a connection may. Then both may be dead.
func (s *spare) replaces(now time.Time) bool {
	if !s.isHeard() {
		return now.Sub(s.asked) > quiet
	}
	return s.stream != nil && now.Sub(s.spoke) > quietBurst
}

// follows reports whether the spare has a newer file than the line of that time,
// give or take what times step back. What was read when it was opened tells that:
// of the same file it repeats the last line.
func (s *spare) follows(line time.Time) bool {
	return s.isHeard() && s.stream != nil && s.first.After(s.last) && s.first.After(line.Add(-stepBack))
}

// fits reports whether the spare goes on where last was the last line read.
func (s *spare) fits(last time.Time) bool {
	return s.isHeard() && s.stream != nil && s.last.Equal(last) || s.follows(last)
}

// drop lets the spare go.
func (s *spare) drop() {
	s.cancel()
	<-s.heard
	if s.stream != nil {
		s.stream.close()
	}
}

// spares are the spares beside a stream, those of newer files last.
type spares []*spare

// take returns the stream to be read where last was the last line read, nil where
// there is none. What does not fit any more is dropped.
func (q *spares) take(last time.Time) *stream {
	for len(*q) > 0 {
		s := (*q)[0]
		*q = (*q)[1:]
		if s.fits(last) {
			return s.stream
		}
		s.drop()
	}
	return nil
}

// keep drops the spares that do not pass the test.
func (q *spares) keep(passes func(*spare) bool) {
	*q = slices.DeleteFunc(*q, func(s *spare) bool {
		if passes(s) {
			return false
		}
		s.drop()
		return true
	})
}

// newest is the time of the first line of the newest file that is open, or last.
func (q spares) newest(last time.Time) time.Time {
	for _, s := range q {
		if s.follows(last) && s.first.After(last) {
			last = s.first
		}
	}
	return last
}

// drop lets all of them go.
func (q *spares) drop() { q.keep(func(*spare) bool { return false }) }

// guard sees to it that a stream has spares where it needs them, and ends it where
// one has to take its place; before is how many bytes had been sent when it began.
// It returns once the stream has ended.
func (f *follower) guard(ctx context.Context, done <-chan struct{}, s *stream, before int64) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-ticker.C:
			f.mind(ctx, s, now, f.lines.sent.Load()-before)
		}
	}
}

// mind looks at a stream that has brought that many new bytes, and at its spares.
func (f *follower) mind(ctx context.Context, s *stream, now time.Time, brought int64) {
	last := f.lines.lastTime()
	silent := s.silence(now) > f.patience(brought)
	// The log of an ended container is not rotated any more.
	behind := !silent && !f.life.isOver() && brought >= burst && now.Sub(last) > lagging
	f.spares.keep(func(s *spare) bool {
		if silent {
			return !s.failed(now)
		}
		return s.follows(last) || behind && !s.isHeard() && now.Sub(s.asked) <= quiet
	})
	switch {
	case silent && len(f.spares) == 0:
		f.spares = spares{f.openSpare(ctx, last, time.Time{})}
	case silent && f.spares[0].replaces(now):
		s.cancel()
	case behind && len(f.spares) < maxSpares && now.Sub(f.looked) >= lookAgain:
		f.looked = now
		f.spares = append(f.spares, f.openSpare(ctx, last, f.spares.newest(last)))
	}
}

// patience is how long a stream that brought that many new bytes may be silent.
func (f *follower) patience(brought int64) time.Duration {
	switch {
	case f.life.isOver():
		return quietOver
	case brought >= burst:
		return quietBurst
	}
	return quiet
}

// headed is a stream of which the first bytes were read already.
type headed struct {
	io.Reader
	io.Closer
}
