package registry

import (
	"context"
	"sync"
	"time"
)

// memo remembers the answers to questions for a while. Callers with the same
// question share one answer that is being found. It is safe for concurrent use.
type memo[V any] struct {
	// keep is how long an answer is remembered; limit is how many are.
	keep  time.Duration
	limit int
	now   func() time.Time

	mu      sync.Mutex
	answers map[string]*answer[V]
}

// answer is one that is known, or that is being found for those who wait.
type answer[V any] struct {
	known   chan struct{} // closed when value and err are set
	value   V
	err     error
	until   time.Time // zero until it is known
	waiting int
	giveUp  context.CancelFunc
}

func newMemo[V any](keep time.Duration, limit int, now func() time.Time) *memo[V] {
	return &memo[V]{keep: keep, limit: limit, now: now, answers: map[string]*answer[V]{}}
}

// get returns the answer for key: a remembered one, or what find returns. Find
// runs once for all who wait, until it returns or nobody waits any more; its
// context has ctx's values and not its end. Errors are not remembered.
func (m *memo[V]) get(ctx context.Context, key string, find func(context.Context) (V, error)) (V, error) {
	a := m.join(ctx, key, find)
	defer m.leave(key, a)
	select {
	case <-a.known:
		return a.value, a.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

// join returns the answer for key after counting the caller in.
func (m *memo[V]) join(ctx context.Context, key string, find func(context.Context) (V, error)) *answer[V] {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, found := m.answers[key]
	if found && (a.until.IsZero() || m.now().Before(a.until)) {
		a.waiting++
		return a
	}
	delete(m.answers, key)
	m.makeRoom()
	shared, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	a = &answer[V]{known: make(chan struct{}), waiting: 1, giveUp: giveUp}
	m.answers[key] = a
	go func() {
		defer giveUp()
		value, err := find(shared)
		m.settle(key, a, value, err)
	}()
	return a
}

func (m *memo[V]) settle(key string, a *answer[V], value V, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a.value, a.err, a.until = value, err, m.now().Add(m.keep)
	if err != nil && m.answers[key] == a {
		delete(m.answers, key)
	}
	close(a.known)
}

// leave counts the caller out. What nobody waits for is not looked for further.
func (m *memo[V]) leave(key string, a *answer[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a.waiting--
	if a.waiting > 0 || !a.until.IsZero() {
		return
	}
	a.giveUp()
	if m.answers[key] == a {
		delete(m.answers, key)
	}
}

// makeRoom forgets the answers that are out of date and, if there are too many
// still, the oldest. Those being found stay: their number is that of callers.
func (m *memo[V]) makeRoom() {
	if len(m.answers) < m.limit {
		return
	}
	now, oldest := m.now(), ""
	for key, a := range m.answers {
		switch {
		case a.until.IsZero():
		case !now.Before(a.until):
			delete(m.answers, key)
		case oldest == "" || a.until.Before(m.answers[oldest].until):
			oldest = key
		}
	}
	if len(m.answers) >= m.limit {
		delete(m.answers, oldest)
	}
}
