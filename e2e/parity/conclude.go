package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"kiln/e2e/parity/internal/corpus"
	"kiln/e2e/parity/internal/table"
	"kiln/e2e/parity/internal/trial"
)

// conclude prints the counts, writes or checks the document, and returns the
// exit code: 1 when a Dockerfile that counts comes out differently, when one
// outside the table is no limit, or when the document is wrong.
func conclude(o options, results []trial.Result, took time.Duration) (int, error) {
	counts, files, wrong := map[trial.Verdict]int{}, 0, []string{}
	for _, r := range results {
		files += r.LostTimes
		switch {
		case r.Case.Suite == corpus.Limits && !limited(r):
			wrong = append(wrong, fmt.Sprintf("%s is %s: it belongs into another suite", r.Case.ID(), r.Verdict))
		case r.Case.Suite == corpus.Limits:
		case r.Verdict == trial.Differs:
			wrong = append(wrong, r.Case.ID()+" differs: "+r.Note)
			fallthrough
		default:
			counts[r.Verdict]++
		}
	}
	if o.write != "" {
		if err := table.Write(o.write, results); err != nil {
			return 1, err
		}
	}
	if o.check != "" {
		more, err := table.Check(o.check, results)
		if err != nil {
			return 1, err
		}
		wrong = append(wrong, more...)
	}
	fmt.Printf("%d Dockerfiles in %s: %d same, %d refused, %d differ; %d copied files lost their time\n",
		len(results), took.Round(time.Second), counts[trial.Same], counts[trial.Refused], counts[trial.Differs], files)
	for _, line := range wrong {
		fmt.Fprintln(os.Stderr, "parity:", line)
	}
	if len(wrong) > 0 {
		return 1, errors.New("the results are not what they should be")
	}
	return 0, nil
}

// limited reports whether a Dockerfile comes out differently, or would if kiln
// did not refuse it.
func limited(r trial.Result) bool { return r.Verdict == trial.Differs || r.Declined }
