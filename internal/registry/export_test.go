package registry

import (
	"context"
	"time"
)

// Bounds that tests reach.
const (
	MaxDocument = maxDocument
	MaxCommas   = maxCommas
	MaxTriggers = maxTriggers
)

// Memo is a seam for the tests of package registry_test.
type Memo[V any] = memo[V]

// NewMemo is newMemo.
func NewMemo[V any](keep time.Duration, limit int, now func() time.Time) *Memo[V] {
	return newMemo[V](keep, limit, now)
}

// Get is get.
func Get[V any](ctx context.Context, m *Memo[V], key string, find func(context.Context) (V, error)) (V, error) {
	return m.get(ctx, key, find)
}

// Len is how many answers m holds.
func Len[V any](m *Memo[V]) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.answers)
}

// DigestOf is digestOf.
var DigestOf = digestOf

// Limit makes c give up on a registry after the given time.
func Limit(c *Client, lookup time.Duration) *Client {
	c.lookup = lookup
	return c
}

// Hasten makes c give up on an attempt after the given time, and pause for the
// given times.
func Hasten(c *Client, attempt time.Duration, pauses ...time.Duration) *Client {
	c.attempt, c.pauses = attempt, pauses
	return c
}
