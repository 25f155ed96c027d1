package main

import (
	"errors"
	"fmt"
	"os"
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

// judgeShown returns a line for each result that should not be: a Dockerfile that
// counts and comes out differently, one outside the table that is no limit, or one
// of which the document says something else. It writes the document too.
func judgeShown(o options, results []trial.Result) ([]string, error) {
	var wrong []string
	for _, r := range results {
		switch {
		case o.assembled && r.Verdict == trial.Differs:
			wrong = append(wrong, r.Case.ID()+" differs: "+r.Note)
		case o.assembled: // nothing is a limit of the assembly
		case r.Case.Suite == corpus.Limits && !limited(r):
			wrong = append(wrong, fmt.Sprintf("%s is %s: it belongs into another suite", r.Case.ID(), r.Verdict))
		case r.Case.Suite != corpus.Limits && r.Verdict == trial.Differs:
			wrong = append(wrong, r.Case.ID()+" differs: "+r.Note)
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

// judgeExpected returns a line for each result that is not expected of the
// flavor, or records the results.
func judgeExpected(o options, results []trial.Result) ([]string, error) {
	if o.record {
		return nil, expected.Save(o.expected(), o.flavor.String(), results)
	}
	want, err := expected.Load(o.expected())
	if err != nil {
		return nil, err
	}
	return want.Check(results), nil
}

// limited reports whether a Dockerfile comes out differently, or would if kiln
// did not refuse it.
func limited(r trial.Result) bool { return r.Verdict == trial.Differs || r.Declined }
