// Package expected keeps what came of every case with another executor than the
// one that docs/parity.md shows in full, in a file beside the corpus, so that a run
// elsewhere can be checked.
//
// The file has a line "VERDICT SUITE/NAME" for each case, and below that of a case
// which differs an indented line for each difference: its path and attribute, or
// which of the two builders alone builds it. Lines that begin with # are comments.
package expected

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"kiln/e2e/parity/internal/trial"
)

// Result is what is expected of a case.
type Result struct {
	Verdict trial.Verdict
	// Differences are in the form of [trial.Result].
	Differences []string
}

// Results are the expected results by the cases' identifiers.
type Results map[string]Result

// Load reads a file. One that does not exist is an error.
func Load(file string) (Results, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read expected results: %w", err)
	}
	all, last := Results{}, ""
	for line := range strings.Lines(string(data)) {
		text := strings.TrimSpace(line)
		switch verdict, id, found := strings.Cut(text, " "); {
		case text == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t") && last != "":
			r := all[last]
			r.Differences = append(r.Differences, text)
			all[last] = r
		case !found || !known(trial.Verdict(verdict)) || all[strings.TrimSpace(id)].Verdict != "":
			return nil, fmt.Errorf("%s: line %q is not understood, or of a case that is there already", file, text)
		default:
			last = strings.TrimSpace(id)
			all[last] = Result{Verdict: trial.Verdict(verdict)}
		}
	}
	return all, nil
}

func known(verdict trial.Verdict) bool {
	return slices.Contains([]trial.Verdict{trial.Same, trial.Refused, trial.Differs}, verdict)
}

// Of returns results as those to expect.
func Of(results []trial.Result) Results {
	all := Results{}
	for _, r := range results {
		all[r.Case.ID()] = Result{Verdict: r.Verdict, Differences: r.Differences}
	}
	return all
}

// Save writes results into a file in the order of identifiers. The heading becomes
// its first line.
func Save(file, heading string, results Results) error {
	var out strings.Builder
	fmt.Fprintf(&out, "# %s\n", heading)
	for _, id := range slices.Sorted(maps.Keys(results)) {
		fmt.Fprintf(&out, "%-7s %s\n", results[id].Verdict, id)
		for _, difference := range results[id].Differences {
			fmt.Fprintf(&out, "\t%s\n", difference)
		}
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		return fmt.Errorf("write expected results: %w", err)
	}
	return nil
}

// Check returns a line for each result that is not the expected one.
func (r Results) Check(results []trial.Result) []string {
	var wrong []string
	for _, got := range results {
		id := got.Case.ID()
		want, found := r[id]
		switch {
		case !found:
			wrong = append(wrong, fmt.Sprintf("%s is %s, and no result is expected of it", id, got.Verdict))
		case want.Verdict != got.Verdict:
			wrong = append(wrong, fmt.Sprintf("%s is %s, and %s is expected: %s", id, got.Verdict, want.Verdict, got.Note))
		default:
			wrong = append(wrong, lacks(id, "differs in %s, which is not expected", got.Differences, want.Differences)...)
			wrong = append(wrong, lacks(id, "no longer differs in %s, which is expected", want.Differences, got.Differences)...)
		}
	}
	return wrong
}

// lacks returns a line for each element of list that other lacks.
func lacks(id, format string, list, other []string) []string {
	var lines []string
	for _, element := range list {
		if !slices.Contains(other, element) {
			lines = append(lines, id+" "+fmt.Sprintf(format, element))
		}
	}
	return lines
}
