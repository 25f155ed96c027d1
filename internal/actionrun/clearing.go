package actionrun

import (
	"context"
	"sync"
)

// clearing are the deletions that go on behind the end of actions. Whoever makes
// something waits for them: where a quota or a node has room for one action, the next
// one has it. The zero value is ready; it is safe for concurrent use.
type clearing struct {
	mu    sync.Mutex
	under map[chan struct{}]bool
}

// begin says that one is under way until end is called.
func (c *clearing) begin() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under == nil {
		c.under = map[chan struct{}]bool{}
	}
	over := make(chan struct{})
	c.under[over] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.under, over)
		close(over)
	}
}

// wait waits for those that are under way, each of which takes a bounded time.
func (c *clearing) wait(ctx context.Context) error {
	for _, over := range c.all() {
		select {
		case <-over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// all are those under way.
func (c *clearing) all() []chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []chan struct{}
	for over := range c.under {
		all = append(all, over)
	}
	return all
}
