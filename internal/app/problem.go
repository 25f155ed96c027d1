package app

import (
	"maps"
	"slices"
	"sync"

	"kiln/internal/metrics"
)

// problems is what is wrong now and mends itself or is mended from outside,
// by a word for what it is wrong with. It is safe for concurrent use.
type problems struct {
	metrics *metrics.Metrics

	mu    sync.Mutex
	found map[string]problem
}

// problem is one thing that is wrong.
type problem struct {
	err error
	// told is set for what every step is told of; what stops a step anyway is
	// in the step's own error.
	told bool
}

// set notes what is wrong with one thing; a nil error clears it.
func (p *problems) set(what string, found problem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		p.found = map[string]problem{}
	}
	p.found[what] = found
	if found.err == nil {
		delete(p.found, what)
	}
	p.metrics.ConfigValid(len(p.found) == 0)
}

// all returns what is wrong, in the order of what it is wrong with.
func (p *problems) all() []problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]problem, 0, len(p.found))
	for _, what := range slices.Sorted(maps.Keys(p.found)) {
		list = append(list, p.found[what])
	}
	return list
}

// of returns what is wrong with one thing, or nil.
func (p *problems) of(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found[what].err
}
