package podlog

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// stream is one open stream of the log.
type stream struct {
	body io.ReadCloser
	// cancel ends it, from any goroutine.
	cancel context.CancelFunc
	// resumed: it does not begin at the log's beginning. follow: its end proves
	// nothing.
	resumed, follow bool
	// waits is since when its reader has been waiting for bytes; nil while it
	// does not. A slow reader is no silence.
	waits atomic.Pointer[time.Time]
}

// openStream opens the log where the lines begin that may not have been read,
// if last was the time of the last line read.
func openStream(ctx context.Context, source Source, last time.Time, follow bool) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	since := sinceOf(last)
	body, err := source.Open(ctx, since, follow)
	if err != nil {
		cancel()
		return nil, err
	}
	return &stream{body: body, cancel: cancel, resumed: !since.IsZero(), follow: follow}, nil
}

// sinceOf returns where the next stream has to begin. The API counts in whole
// seconds; one more is for times that step back.
func sinceOf(last time.Time) time.Time {
	if last.IsZero() {
		return last
	}
	return last.Truncate(time.Second).Add(-time.Second)
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	s.waits.Store(new(time.Now()))
	defer s.waits.Store(nil)
	return s.body.Read(p)
}

// silence is how long the present Read has been waiting.
func (s *stream) silence(now time.Time) time.Duration {
	since := s.waits.Load()
	if since == nil {
		return 0
	}
	return now.Sub(*since)
}

// close ends the stream. Nobody reads it any more.
func (s *stream) close() {
	s.cancel()
	_ = s.body.Close()
}
