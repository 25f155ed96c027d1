package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// check looks at one thing.
type check struct {
	name string
	// after are the checks whose facts this one uses where they are there, and
	// needs those without which there is nothing to look at. All stand before
	// it.
	after, needs []string
	// limit is what run may take.
	limit time.Duration
	// always is set for a check that runs after an interruption too.
	always bool
	// run returns one finding at least; their names are filled in.
	run func(ctx context.Context) []Finding
}

// running is a check and what came of it, once done is closed.
type running struct {
	check
	done     chan struct{}
	findings []Finding
}

// runAll runs the checks and returns their findings, in order.
func runAll(ctx context.Context, checks []check) []Finding {
	all := make(map[string]*running, len(checks))
	var group sync.WaitGroup
	for _, c := range checks {
		r := &running{check: c, done: make(chan struct{})}
		before := make([]*running, 0, len(c.after)+len(c.needs))
		for _, name := range append(append([]string{}, c.after...), c.needs...) {
			before = append(before, all[name])
		}
		all[c.name] = r
		group.Go(func() { r.settle(ctx, before) })
	}
	group.Wait()
	var findings []Finding
	for _, c := range checks {
		findings = append(findings, all[c.name].findings...)
	}
	return findings
}

// settle waits for what stands before r and runs it.
func (r *running) settle(ctx context.Context, before []*running) {
	defer close(r.done)
	for _, other := range before {
		<-other.done
	}
	r.findings = r.look(ctx, before[len(r.after):])
	for i := range r.findings {
		f := &r.findings[i]
		f.Check, f.Seen, f.Mend = r.name, oneLine(f.Seen), oneLine(f.Mend)
	}
}

// look runs the check if what it needs is there.
func (r *running) look(ctx context.Context, needed []*running) []Finding {
	if r.always {
		ctx = context.WithoutCancel(ctx)
	}
	var missing []string
	for _, other := range needed {
		switch worst(other.findings) {
		case Fail:
			missing = append(missing, other.name+" has a fault")
		case Skip:
			missing = append(missing, other.name+" was skipped")
		}
	}
	if len(missing) > 0 {
		return skip(strings.Join(missing, ", "))
	}
	if ctx.Err() != nil {
		return skip("interrupted")
	}
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	findings := r.run(ctx)
	if len(findings) == 0 {
		return fail(fmt.Sprintf("the check %s says nothing", r.name), "report it")
	}
	return findings
}
