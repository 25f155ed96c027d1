package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"kiln/e2e/parity/internal/corpus"
	"kiln/e2e/parity/internal/expected"
	"kiln/e2e/parity/internal/table"
	"kiln/e2e/parity/internal/trial"
)

// conclude prints the counts, writes or checks the documents, and returns the
// exit code: 1 when a result is not what it should be.
func conclude(o options, results []trial.Result, took time.Duration) (int, error) {
	counts, files := map[trial.Verdict]int{}, 0
	for _, r := range results {
		files += r.LostTimes
		if r.Case.Suite != corpus.Limits {
			counts[r.Verdict]++
		}
	}
	judge := judgeShown
	if o.expected() != "" {
		judge = judgeExpected
	}
	wrong, err := judge(o, results)
	if err != nil {
		return 1, err
	}
	fmt.Printf("%d Dockerfiles in %s with %s: %d same, %d refused, %d differ; %d copied files lost their time\n",
		len(results), took.Round(time.Second), o.flavor, counts[trial.Same], counts[trial.Refused], counts[trial.Differs], files)
	for _, line := range wrong {
		fmt.Fprintln(os.Stderr, "parity:", line)
	}
	if len(wrong) > 0 {
		return 1, errors.New("the results are not what they should be")
	}
	return 0, nil
}

// judgeShown returns a line for each result that should not be, or of which the
// document says something else. It writes the document too.
func judgeShown(o options, results []trial.Result) ([]string, error) {
	var wrong []string
	for _, r := range results {
		if text := fault(o, r); text != "" {
			wrong = append(wrong, r.Case.ID()+" "+text)
		}
	}
	if o.write != "" {
		other, err := expected.Load(o.other())
		if err != nil {
			return nil, err
		}
		return wrong, table.Write(o.write, results, other)
	}
	if o.check == "" {
		return wrong, nil
	}
	more, err := table.Check(o.check, results)
	return append(wrong, more...), err
}

// fault says what is wrong with a result, nothing where it may be: what counts comes out
// the same or is refused, and so does what counts built as one, but for those cases that
// are about what a split could get wrong; what stands outside the table differs in one of
// the two ways at least, or would if kiln did not refuse it.
func fault(o options, r trial.Result) string {
	whole, built := r.AsOne()
	switch limit := r.Case.Suite == corpus.Limits; {
	case r.Split && r.Verdict == trial.Differs && !(limit && ofContext(r)) && !(limit && whole.Verdict == trial.Differs):
		return "differs: " + r.Note
	case limit && built && !o.assembled && !limited(whole):
		return fmt.Sprintf("is %s: it belongs into another suite", whole.Verdict)
	case !limit && r.Verdict == trial.Differs:
		return "differs: " + r.Note
	case !limit && r.Case.Suite != corpus.Split && built && whole.Verdict == trial.Differs:
		return "differs built whole: " + whole.Note
	}
	return ""
}

// ofContext reports whether a result differs in nothing but which names are hard links of
// each other, which no context of kiln's holds.
func ofContext(r trial.Result) bool {
	return !slices.ContainsFunc(r.Differences, func(d string) bool { return !strings.HasSuffix(d, ": links") })
}

// judgeExpected returns a line for each result that is not expected of the
// flavor, which is of the build as one, or records the results. What is put together
// never differs.
func judgeExpected(o options, results []trial.Result) ([]string, error) {
	var wholes []trial.Result
	var wrong []string
	for _, r := range results {
		if whole, built := r.AsOne(); built {
			wholes = append(wholes, whole)
		}
		if r.Split && r.Verdict == trial.Differs && r.Case.Suite != corpus.Limits {
			wrong = append(wrong, r.Case.ID()+" differs: "+r.Note)
		}
	}
	if o.record {
		return wrong, record(o, expected.Of(wholes))
	}
	want, err := expected.Load(o.expected())
	if err != nil {
		return nil, err
	}
	return append(wrong, want.Check(wholes)...), nil
}

// record keeps results, beside those that are kept of other cases where not all were run.
func record(o options, results expected.Results) error {
	all := expected.Results{}
	if o.some {
		var err error
		if all, err = expected.Load(o.expected()); err != nil {
			return err
		}
	}
	maps.Copy(all, results)
	return expected.Save(o.expected(), o.flavor.String(), all)
}

// limited reports whether a Dockerfile comes out differently, or would if kiln
// did not refuse it.
func limited(r trial.Result) bool { return r.Verdict == trial.Differs || r.Declined }
