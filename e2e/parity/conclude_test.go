package main

import (
	"testing"

	"kiln/e2e/parity/internal/corpus"
	"kiln/e2e/parity/internal/trial"
	kaniko "kiln/internal/executor"
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
			if code, err := conclude(options{flavor: kaniko.Flavor{Name: kaniko.Chainguard}}, []trial.Result{result}, 0); code != tc.code || (err == nil) != (code == 0) {
				t.Errorf("conclude = %d, %v, want %d", code, err, tc.code)
			}
		})
	}
}

// Results of another flavor are held against those that stand beside the corpus:
// a difference that those do not name fails the run, in the limits too.
func TestConcludeExpected(t *testing.T) {
	o := options{corpus: t.TempDir(), flavor: kaniko.Flavor{Name: kaniko.Osscontainertools, Version: "1.28.3"}}
	known := trial.Result{Case: corpus.Case{Suite: corpus.Limits, Name: "x"}, Verdict: trial.Differs, Differences: []string{"/a: mode"}}
	record := o
	record.record = true
	if code, err := conclude(record, []trial.Result{known}, 0); code != 0 || err != nil {
		t.Fatalf("conclude = %d, %v", code, err)
	}
	if code, err := conclude(o, []trial.Result{known}, 0); code != 0 || err != nil {
		t.Errorf("conclude of what is expected = %d, %v", code, err)
	}
	more := known
	more.Differences = []string{"/a: mode", "/b: uid"}
	if code, err := conclude(o, []trial.Result{more}, 0); code != 1 || err == nil {
		t.Errorf("conclude of one more difference = %d, %v", code, err)
	}
}
