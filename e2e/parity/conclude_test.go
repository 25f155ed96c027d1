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

// What is put together never differs in what counts, and what counts does not differ
// built as one, but where it is about the split.
func TestConcludeSplit(t *testing.T) {
	for name, tc := range map[string]struct {
		suite      string
		got, whole trial.Verdict
		code       int
	}{
		"both":                         {corpus.Reference, trial.Same, trial.Same, 0},
		"refused built whole":          {corpus.Wild, trial.Same, trial.Refused, 0},
		"differs":                      {corpus.Reference, trial.Differs, trial.Same, 1},
		"differs built whole":          {corpus.Reference, trial.Same, trial.Differs, 1},
		"about the split":              {corpus.Split, trial.Same, trial.Differs, 0},
		"differs, about the split":     {corpus.Split, trial.Differs, trial.Differs, 1},
		"a limit of the whole":         {corpus.Limits, trial.Same, trial.Differs, 0},
		"a limit of neither":           {corpus.Limits, trial.Same, trial.Same, 1},
		"a limit of both":              {corpus.Limits, trial.Differs, trial.Differs, 0},
		"a limit of the split alone":   {corpus.Limits, trial.Differs, trial.Refused, 1},
		"a refused limit of the whole": {corpus.Limits, trial.Same, trial.Refused, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := corpus.Case{Suite: tc.suite, Name: "x"}
			whole := trial.Result{Case: c, Verdict: tc.whole, Declined: tc.whole == trial.Refused}
			result := trial.Result{Case: c, Split: true, Whole: &whole, Verdict: tc.got, Differences: []string{"/a: mode"}}
			o := options{flavor: kaniko.Flavor{Name: kaniko.Chainguard}}
			if code, err := conclude(o, []trial.Result{result}, 0); code != tc.code || (err == nil) != (code == 0) {
				t.Errorf("conclude = %d, %v, want %d", code, err, tc.code)
			}
		})
	}
}

// Some results of another flavor take the place of those that were kept of the cases,
// and leave the others.
func TestRecordSome(t *testing.T) {
	o := options{corpus: t.TempDir(), flavor: kaniko.Flavor{Name: kaniko.Osscontainertools, Version: "1.28.3"}, record: true}
	a := trial.Result{Case: corpus.Case{Suite: corpus.Wild, Name: "a"}, Verdict: trial.Same}
	b := trial.Result{Case: corpus.Case{Suite: corpus.Wild, Name: "b"}, Verdict: trial.Refused}
	changed := b
	changed.Verdict = trial.Same
	for _, results := range [][]trial.Result{{a, b}, {changed}} {
		if code, err := conclude(o, results, 0); code != 0 || err != nil {
			t.Fatalf("conclude = %d, %v", code, err)
		}
		o.some = true
	}
	o.record = false
	if code, err := conclude(o, []trial.Result{a, changed}, 0); code != 0 || err != nil {
		t.Errorf("conclude of what was kept = %d, %v", code, err)
	}
}
