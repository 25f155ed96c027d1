package trial

import (
	"errors"
	"testing"

	"kiln/e2e/parity/internal/assembled"
)

// What counts is what kiln does by default: it builds in two parts, and as one where that
// cannot be or where the base part alone is refused.
func TestWaysResult(t *testing.T) {
	unsure := &assembled.Whole{Err: errors.New("not split")}
	part := &assembled.Whole{Err: errors.New("refused"), Part: true}
	for name, tt := range map[string]struct {
		err   error
		whole *Result
		split bool
	}{
		"split":                       {nil, &Result{Verdict: Same}, true},
		"split, refused built whole":  {nil, &Result{Verdict: Refused, Declined: true}, true},
		"split once":                  {nil, nil, true},
		"the base part fails":         {errors.New("exit status 1"), &Result{Verdict: Same}, true},
		"not split":                   {unsure, &Result{Verdict: Same}, false},
		"not split and refused":       {unsure, &Result{Verdict: Refused, Declined: true}, false},
		"both are refused":            {part, &Result{Verdict: Refused, Declined: true}, true},
		"the base part alone refused": {part, &Result{Verdict: Same}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := ways{split: &way{err: tt.err, result: Result{Split: true, Note: "split"}}}
			if tt.whole != nil {
				tt.whole.Note = "whole"
				w.whole = &way{result: *tt.whole}
			}
			got := w.result()
			if want := map[bool]string{true: "split", false: "whole"}[tt.split]; got.Split != tt.split || got.Note != want {
				t.Errorf("the result is of %q, split %t, want %q", got.Note, got.Split, want)
			}
			one, built := got.AsOne()
			if built != (tt.whole != nil) || built && one.Note != "whole" {
				t.Errorf("AsOne = %q, %t", one.Note, built)
			}
		})
	}
}
