package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// tolerated is how much more of anything a newer kiln may take than an older one.
const tolerated = 1.05

// A figure is one quantity as it was measured of all three sides, round by round.
// Less of it is better.
type figure struct {
	name   string
	values [sides][]float64
}

// ratios are the values of one side over those of the older kiln, each with the
// value of the same round.
func (f figure) ratios(of int) []float64 {
	ratios := make([]float64, 0, len(f.values[of]))
	for i, value := range f.values[of] {
		ratios = append(ratios, value/f.values[before][i])
	}
	return ratios
}

// verdicts of a figure.
const (
	fine   = "ok"
	noise  = "ok: within old against old"
	slower = "SLOWER"
)

// verdict says whether the newer kiln takes more than the older one: by the
// median of the ratios, unless that of the older one against itself may come out
// the same by chance.
func (f figure) verdict() string {
	switch ratio := middle(f.ratios(after)); {
	case ratio <= tolerated:
		return fine
	case ratio <= chance(f.ratios(again)):
		return noise
	default:
		return slower
	}
}

// chance is the largest median that ratios of two equal things may have: the
// farther end of the confidence interval of theirs, on either side of 1.
func chance(ratios []float64) float64 {
	low, high := confidence(ratios)
	return max(high, 1/low)
}

// confidence is the interval that holds the median of what values are drawn from,
// with 95 %: whatever their distribution, it reaches between two of them that are
// the same number of places from the smallest and from the largest. Fewer than
// six values tell less, and it is all of their range.
func confidence(values []float64) (low, high float64) {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	// The chance that at most place of n values are below the median.
	place, below := 0, 0.0
	for ; place < n/2; place++ {
		if below += binomial(n, place) / math.Pow(2, float64(n)); below > 0.025 {
			break
		}
	}
	place = max(place-1, 0)
	return sorted[place], sorted[n-1-place]
}

// binomial is n over k.
func binomial(n, k int) float64 {
	result := 1.0
	for i := range k {
		result *= float64(n-i) / float64(i+1)
	}
	return result
}

// middle is the median of values, which are not empty.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// printFigures writes the table of figures and returns the names of those in
// which the newer kiln is slower.
func printFigures(w io.Writer, figures []figure) (worse []string, err error) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "\nmedians\told\tnew\tnew/old (min to max)\told/old (min to max)\tverdict\n")
	for _, f := range figures {
		verdict := f.verdict()
		if verdict == slower {
			worse = append(worse, f.name)
		}
		fmt.Fprintf(tw, "%s\t%.3f\t%.3f\t%s\t%s\t%s\n", f.name, middle(f.values[before]), middle(f.values[after]),
			spread(f.ratios(after)), spread(f.ratios(again)), verdict)
	}
	return worse, tw.Flush()
}

// spread tells the median and the ends of ratios.
func spread(ratios []float64) string {
	return fmt.Sprintf("%.3f (%.2f to %.2f)", middle(ratios), slices.Min(ratios), slices.Max(ratios))
}
