package actionrun

import (
	"context"
	"sync"
	"time"
)

// refusedFor is how long a Job has no pod where its first one was refused, as by a quota:
// the Job controller tries again after a second. Otherwise it takes some hundredths.
const refusedFor = 800 * time.Millisecond

// clearing are the deletions that go on behind the end of actions. Whoever makes
// something waits for them: where a quota or a node has room for one action, the next
// one has it. One that lingers, since the node has not noticed the action's end so far, is
// waited for where room was short before. The zero value is ready; it is safe for
// concurrent use.
type clearing struct {
	mu    sync.Mutex
	under map[*removal]bool
	short bool
}

// A removal is the deletion of what was made for one action.
type removal struct {
	clearing *clearing
	lingers  bool
	over     chan struct{}
}

// begin says that one is under way until its end is called.
func (c *clearing) begin(lingers bool) *removal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under == nil {
		c.under = map[*removal]bool{}
	}
	r := &removal{clearing: c, lingers: lingers, over: make(chan struct{})}
	c.under[r] = true
	return r
}

// goOn says that the removal lingers no longer.
func (r *removal) goOn() {
	r.clearing.mu.Lock()
	defer r.clearing.mu.Unlock()
	r.lingers = false
}

// end says that nothing is left.
func (r *removal) end() {
	r.clearing.mu.Lock()
	defer r.clearing.mu.Unlock()
	delete(r.clearing.under, r)
	close(r.over)
}

// noteRoom says how long a Job had no pod.
func (c *clearing) noteRoom(without time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.short = c.short || without > refusedFor
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

// all are those that are to be waited for.
func (c *clearing) all() []chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []chan struct{}
	for r := range c.under {
		if c.short || !r.lingers {
			all = append(all, r.over)
		}
	}
	return all
}
