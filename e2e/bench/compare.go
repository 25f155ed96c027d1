package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"kiln/e2e/harness"
)

// comparison measures the kiln of the working tree against an earlier one.
type comparison struct {
	sides   [sides]*side
	figures []figure
	w       io.Writer
}

// names of the sides, which their namespaces have too.
func sideNames() [sides]string { return [sides]string{before: "old", after: "new", again: "again"} }

// compare measures every figure of both kilns, pairs times in turn, and prints
// how they compare. It removes what it made. A figure in which the newer kiln is
// slower is an error, at the end.
func compare(ctx context.Context, rev string, pairs int, w io.Writer) (err error) {
	cluster, err := harness.Connect()
	if err != nil {
		return err
	}
	commit, err := revision(ctx, cluster.Root, rev)
	if err != nil {
		return err
	}
	tree, err := os.MkdirTemp("", "kiln-bench-")
	if err != nil {
		return fmt.Errorf("unpack %s: %w", rev, err)
	}
	defer os.RemoveAll(tree)
	if err := unpack(ctx, cluster.Root, commit, tree); err != nil {
		return err
	}
	fmt.Fprintf(w, "old: %s; new: the working tree; %d pairs\n", commit, pairs)
	c := &comparison{w: w}
	defer func() {
		// The run's context may be over.
		err = errors.Join(err, c.remove(context.WithoutCancel(ctx)))
	}()
	if err := c.install(ctx, cluster, tree); err != nil {
		return err
	}
	for n := range pairs {
		if err := c.round(ctx, n, pairs); err != nil {
			return err
		}
	}
	worse, err := printFigures(w, c.figures)
	if err == nil && len(worse) > 0 {
		err = fmt.Errorf("slower than %s: %s", rev, strings.Join(worse, "; "))
	}
	return err
}

// install builds both kilns, the older one from its tree, and installs the three
// sides.
func (c *comparison) install(ctx context.Context, cluster *harness.Cluster, tree string) error {
	older := *cluster
	older.Root = tree
	adjust, err := knownSettings(tree)
	if err != nil {
		return err
	}
	images := map[*harness.Cluster]harness.Images{}
	for _, each := range []*harness.Cluster{cluster, &older} {
		if images[each], err = each.BuildImages(ctx); err != nil {
			return err
		}
		if err := compileGate(ctx, each.Root); err != nil {
			return err
		}
	}
	for i, name := range sideNames() {
		from := &older
		if i == after {
			from = cluster
		}
		own := images[from]
		own.Runner = images[cluster].Runner // one runner for all
		if c.sides[i], err = newSide(ctx, from, namespace+"-"+name, own); err != nil {
			return err
		}
		if i != after {
			c.sides[i].adjust = adjust
		}
	}
	return c.warm(ctx)
}

// warm plays each side once, unmeasured: the node pulls the images.
func (c *comparison) warm(ctx context.Context) error {
	for _, s := range c.sides {
		for _, t := range s.trials() {
			if _, err := t.play(ctx); err != nil {
				return fmt.Errorf("first round of %s: %w", s.bench.namespace, err)
			}
		}
		if err := s.stopRunner(ctx); err != nil {
			return err
		}
	}
	return nil
}

// order is in which the sides are measured in a round: each comes first, second
// and last as often as the others, and follows each of the others as often.
func order(round int) [sides]int {
	orders := [][sides]int{
		{before, after, again},
		{again, after, before},
		{after, again, before},
		{before, again, after},
		{again, before, after},
		{after, before, again},
	}
	return orders[round%len(orders)]
}

// round measures every figure of every side once.
func (c *comparison) round(ctx context.Context, n, pairs int) error {
	began := time.Now()
	var trials [sides][]trial
	for i, s := range c.sides {
		trials[i] = s.trials()
	}
	at := 0 // the first figure of the trial
	for t := range trials[after] {
		for _, i := range order(n) {
			values, err := trials[i][t].play(ctx)
			if err != nil {
				return fmt.Errorf("round %d of %s: %w", n+1, c.sides[i].bench.namespace, err)
			}
			c.add(at, i, trials[i][t].figures, values)
		}
		at += len(trials[after][t].figures)
	}
	for _, s := range c.sides {
		if err := s.stopRunner(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.w, "round %d of %d: %.0f s\n", n+1, pairs, time.Since(began).Seconds())
	return nil
}

// add keeps the values of one side, those of the figures from the given one on.
func (c *comparison) add(at, of int, names []string, values []float64) {
	for i, name := range names {
		if at+i == len(c.figures) {
			c.figures = append(c.figures, figure{name: name})
		}
		kept := &c.figures[at+i].values[of]
		*kept = append(*kept, values[i])
	}
}

// removeTimeout bounds how long namespaces may take to go.
const removeTimeout = 5 * time.Minute

// remove deletes the namespaces and waits until they are gone.
func (c *comparison) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	var errs []error
	for _, s := range c.sides {
		if s != nil {
			errs = append(errs, s.bench.DeleteNamespace(ctx, s.bench.namespace))
		}
	}
	for _, s := range c.sides {
		if s != nil {
			errs = append(errs, s.bench.AwaitNamespaceGone(ctx, s.bench.namespace))
		}
	}
	return errors.Join(errs...)
}
