package podlog

import (
	"bytes"
	"context"
	"errors"
	"io"
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

// spare is a stream that is opened beside a silent one. The silent one may be at
// the end of a file that was rotated, or be held up on its way, on a node that is
// too busy: then it is the only one that still has the rest of that file, since the
// spare is of the newest. So it is kept until the spare has spoken, which shows
// that the way is free, and until it is silent for quietBurst after that.
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
}

// openSpare opens a spare where last was the last line read.
func (f *follower) openSpare(ctx context.Context, last time.Time) *spare {
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
		if err != nil && !errors.Is(err, io.EOF) {
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

// take returns the stream of a spare that has spoken, to be read where last was
// the last line read; nil where there is none. The spare is used up.
func (s *spare) take(last time.Time) *stream {
	if s == nil {
		return nil
	}
	if !s.isHeard() || s.stream == nil || !s.last.Equal(last) {
		s.drop()
		return nil
	}
	return s.stream
}

// drop lets the spare go, if there is one.
func (s *spare) drop() {
	if s == nil {
		return
	}
	s.cancel()
	<-s.heard
	if s.stream != nil {
		s.stream.close()
	}
}

// guard ends a stream whose place a spare has to take; before is how many bytes
// had been sent when it began. It returns the spare, if there is one, once the
// stream has ended.
func (f *follower) guard(ctx context.Context, done <-chan struct{}, s *stream, before int64) *spare {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var next *spare
	for {
		select {
		case <-done:
			return next
		case now := <-ticker.C:
			next = f.mind(ctx, s, next, now, f.lines.sent.Load()-before)
		}
	}
}

// mind looks at a stream that has brought that many new bytes, and returns its
// spare.
func (f *follower) mind(ctx context.Context, s *stream, next *spare, now time.Time, brought int64) *spare {
	silent := s.silence(now) > f.patience(brought)
	switch {
	case next == nil && silent:
		return f.openSpare(ctx, f.lines.lastTime())
	case next == nil:
		return nil
	case !silent || next.failed(now):
		next.drop()
		return nil
	case next.replaces(now):
		s.cancel()
	}
	return next
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
