package main

import (
	"testing"

	"kiln/e2e/parity/internal/corpus"
	"kiln/e2e/parity/internal/trial"
)

// A limit that is gone fails the run, one that kiln refuses does not.
func TestConcludeLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		verdict  trial.Verdict
		declined bool
		code     int
	}{
		"differs":                  {trial.Differs, false, 0},
		"refused":                  {trial.Refused, true, 0},
		"refused and Docker fails": {trial.Same, true, 0},
		"the same":                 {trial.Same, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			result := trial.Result{Case: corpus.Case{Suite: corpus.Limits, Name: "x"}, Verdict: tc.verdict, Declined: tc.declined}
			if code, err := conclude(options{}, []trial.Result{result}, 0); code != tc.code || (err == nil) != (code == 0) {
				t.Errorf("conclude = %d, %v, want %d", code, err, tc.code)
			}
		})
	}
}
