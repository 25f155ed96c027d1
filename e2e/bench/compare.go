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
//
// Before that it measures the targets.
func compare(ctx context.Context, args cli, w io.Writer) (err error) {
	rev := args.Compare
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
	fmt.Fprintf(w, "old: %s; new: the working tree; %d rounds of targets, %d pairs\n", commit, args.Rounds, args.Pairs)
	c := &comparison{w: w}
	defer func() {
		// The run's context may be over.
		err = errors.Join(err, c.remove(context.WithoutCancel(ctx)))
	}()
	if err := c.install(ctx, cluster, tree); err != nil {
		return err
	}
	if args.Rounds > 0 {
		if err := c.targets(ctx, args); err != nil {
			return err
		}
	}
	if args.Pairs <= 0 {
		return nil
	}
	if _, err := c.round(ctx, 0); err != nil { // unmeasured: the node pulls the images
		return fmt.Errorf("first round: %w", err)
	}
	err = c.rounds(ctx, args.Pairs)
	if len(c.figures) == 0 {
		return err
	}
	worse, failed := printFigures(w, c.figures)
	if err = errors.Join(err, failed); err == nil && len(worse) > 0 {
		err = fmt.Errorf("slower than %s: %s", rev, strings.Join(worse, "; "))
	}
	return err
}

// targets measures what the targets are of, with both kilns.
func (c *comparison) targets(ctx context.Context, args cli) error {
	return measureTargets(ctx, args, c.sides[before], c.sides[after], c.w)
}

// rounds measures so many rounds. One that fails, as a busy cluster lets one now
// and then, is measured once more.
func (c *comparison) rounds(ctx context.Context, pairs int) error {
	for n := range pairs {
		began := time.Now()
		figures, err := c.round(ctx, n)
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(c.w, "round %d of %d: once more: %v\n", n+1, pairs, err)
			figures, err = c.round(ctx, n)
		}
		if err != nil {
			return fmt.Errorf("round %d: %w", n+1, err)
		}
		c.add(figures)
		fmt.Fprintf(c.w, "round %d of %d: %.0f s\n", n+1, pairs, time.Since(began).Seconds())
	}
	return nil
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

// round measures every figure of every side once, on new runner pods.
func (c *comparison) round(ctx context.Context, n int) (figures []figure, err error) {
	defer func() { err = errors.Join(err, c.stopRunners(ctx)) }()
	var trials [sides][]trial
	for i, s := range c.sides {
		trials[i] = s.trials()
	}
	for t := range trials[after] {
		first := len(figures)
		for _, name := range trials[after][t].figures {
			figures = append(figures, figure{name: name})
		}
		for _, i := range order(n) {
			values, err := trials[i][t].play(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.sides[i].bench.namespace, err)
			}
			for at, value := range values {
				figures[first+at].values[i] = []float64{value}
			}
		}
	}
	return figures, nil
}

// stopRunners removes the runner pods of a round.
func (c *comparison) stopRunners(ctx context.Context) error {
	var errs []error
	for _, s := range c.sides {
		errs = append(errs, s.stopRunner(ctx))
	}
	return errors.Join(errs...)
}

// add keeps what a round has measured.
func (c *comparison) add(round []figure) {
	if c.figures == nil {
		c.figures = round
		return
	}
	for i, f := range round {
		for of, values := range f.values {
			c.figures[i].values[of] = append(c.figures[i].values[of], values...)
		}
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
