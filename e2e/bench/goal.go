package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A bound is the most that a row may be: so many times another row, and so much more.
type bound struct {
	factor float64
	of     string // a row of the same table; empty for none
	plus   float64
}

// A goal is a quantity, and what it has to hold. One without bounds is shown to compare
// with.
type goal struct {
	name   string
	bounds []bound
}

// Goals are quantities under a title, as the rows of a table.
type goals struct {
	title string
	rows  []goal
	// values are what was measured of each row, by its name, round by round.
	values map[string][]float64
}

func newGoals(title string, rows ...goal) *goals {
	return &goals{title: title, rows: rows, values: map[string][]float64{}}
}

// add keeps one round's value of a row.
func (g *goals) add(name string, value float64) { g.values[name] = append(g.values[name], value) }

// The verdicts of a bound.
const (
	held     = "ok"
	missed   = "MISSED"
	unjudged = "-" // it was not measured what the bound is of
)

// limit is what a bound comes to, and whether that is known.
func (g *goals) limit(b bound) (at float64, known bool) {
	if b.of == "" {
		return b.plus, true
	}
	values := g.values[b.of]
	if len(values) == 0 {
		return 0, false
	}
	return b.factor*middle(values) + b.plus, true
}

// verdict is that of a row's median.
func (g *goals) verdict(name string, b bound) string {
	at, known := g.limit(b)
	switch {
	case !known || len(g.values[name]) == 0:
		return unjudged
	case middle(g.values[name]) <= at:
		return held
	}
	return missed
}

// print writes the medians with their bounds, and returns the bounds that do not hold.
func (g *goals) print(w io.Writer) (failed []string, err error) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\n%s\tmedian\tleast to most\ttarget: at most\tverdict\n", g.title)
	for _, r := range g.rows {
		name, figures := r.name, "-\t-"
		if values := g.values[r.name]; len(values) > 0 {
			figures = fmt.Sprintf("%.3f\t%s", middle(values), ends(values))
		}
		if len(r.bounds) == 0 {
			fmt.Fprintf(tw, "%s\t%s\t\t\n", name, figures)
		}
		for _, b := range r.bounds {
			verdict := g.verdict(r.name, b)
			if verdict == missed {
				failed = append(failed, fmt.Sprintf("%s: %s %s", g.title, r.name, b))
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", name, figures, g.describe(b), verdict)
			name, figures = "", "\t"
		}
	}
	return failed, tw.Flush()
}

// describe tells a bound and what it comes to.
func (g *goals) describe(b bound) string {
	at, known := g.limit(b)
	switch {
	case b.of == "":
		return b.String()
	case !known:
		return fmt.Sprintf("%s (not measured)", b)
	}
	return fmt.Sprintf("%.3f = %s", at, b)
}

// String is a bound without what it comes to.
func (b bound) String() string {
	var parts []string
	switch {
	case b.of == "":
	case b.factor == 1:
		parts = append(parts, b.of)
	default:
		parts = append(parts, fmt.Sprintf("%.3g × %s", b.factor, b.of))
	}
	if b.plus != 0 {
		parts = append(parts, fmt.Sprintf("%.3g", b.plus))
	}
	return strings.Join(parts, " + ")
}

// ends are the least and the most of values.
func ends(values []float64) string {
	least, most := values[0], values[0]
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	return fmt.Sprintf("%.3f to %.3f", least, most)
}
