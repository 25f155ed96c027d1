package podlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"
)

// errFinal is what the fake source calls final.
var errFinal = errors.New("no right to read logs")

// container is a Source in memory.
type container struct {
	// open answers the request number n, from 1, for a log from since on.
	open func(n int, since time.Time, follow bool) (io.Reader, error)

	mu     sync.Mutex
	asked  int
	opened int // streams that nobody has closed
	state  State
	lost   error // ends the watch
	wake   chan struct{}
}

// newContainer is a container in a state, whose log open answers for.
func newContainer(state State, open func(n int, since time.Time, follow bool) (io.Reader, error)) *container {
	return &container{open: open, state: state, wake: make(chan struct{})}
}

// become changes the container's state, or ends the watch with an error.
func (c *container) become(state State, lost error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.lost = state, lost
	close(c.wake)
	c.wake = make(chan struct{})
}

// ends lets the container end.
func (c *container) ends() { c.become(State{Ran: true, Over: true}, nil) }

func (c *container) Open(ctx context.Context, since time.Time, follow bool) (io.ReadCloser, error) {
	c.mu.Lock()
	c.asked++
	n := c.asked
	c.mu.Unlock()
	body, err := c.open(n, since, follow)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	return &openBody{ctx: ctx, source: body, close: func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.opened--
	}}, nil
}

func (c *container) Watch(ctx context.Context, changed func(State) bool) error {
	for {
		c.mu.Lock()
		state, lost, wake := c.state, c.lost, c.wake
		c.mu.Unlock()
		if lost != nil {
			return lost
		}
		if changed(state) {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *container) Final(err error) bool { return errors.Is(err, errFinal) }

// requests is how often the log was asked for.
func (c *container) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// openBody is an open stream that ends with its context.
type openBody struct {
	ctx    context.Context
	source io.Reader
	close  func()
}

func (b *openBody) Read(p []byte) (int, error) {
	if wait, ok := b.source.(waiting); ok {
		return wait.readUntil(b.ctx, p)
	}
	return b.source.Read(p)
}

func (b *openBody) Close() error {
	b.close()
	return nil
}

// waiting is a reader that may block until a context ends.
type waiting interface {
	readUntil(ctx context.Context, p []byte) (int, error)
}

// script is a stream that waits between its parts, and after the last until it is
// let go, or ends.
type script struct {
	io.Reader // never used: a script is read with a context
	parts     []part
}

// part is what a script brings after a wait; a negative one is for ever.
type part struct {
	after time.Duration
	data  []byte
	err   error
}

const forever = time.Duration(-1)

func (s *script) readUntil(ctx context.Context, p []byte) (int, error) {
	for len(s.parts) > 0 {
		now := &s.parts[0]
		if err := await(ctx, now.after); err != nil {
			return 0, err
		}
		now.after = 0
		if len(now.data) > 0 {
			n := copy(p, now.data)
			now.data = now.data[n:]
			return n, nil
		}
		if now.err != nil {
			return 0, now.err
		}
		s.parts = s.parts[1:]
	}
	return 0, io.EOF
}

// await waits.
func await(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	var over <-chan time.Time
	if d > 0 {
		over = time.After(d)
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// collect follows a container's log and returns it, with a '?' where lines may be
// missing. Nothing stays open.
func collect(ctx context.Context, t *testing.T, c *container) (string, error) {
	t.Helper()
	var got bytes.Buffer
	err := Follow(ctx, c, Position{}, func(p []byte, _ Position) error {
		if p == nil {
			got.WriteByte('?')
		}
		got.Write(p)
		return nil
	})
	if c.opened != 0 {
		t.Errorf("%d streams are still open", c.opened)
	}
	return got.String(), err
}
