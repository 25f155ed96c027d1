package outcome

import (
	"fmt"
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// verdict notes what would fail a test.
type verdict struct {
	testing.TB
	said []string
}

func (v *verdict) Helper() {}

func (v *verdict) Errorf(format string, args ...any) {
	v.said = append(v.said, fmt.Sprintf(format, args...))
}

// Fatalf ends the check, as it would end the test.
func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	panic(v)
}

func judge(t *testing.T, check func(testing.TB)) string {
	v := &verdict{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(v) {
				panic(r)
			}
		}()
		check(v)
	}()
	return strings.Join(v.said, "\n")
}

func result(code int, log string) *harness.Result {
	return &harness.Result{Report: runner.Report{ExitCode: code}, Log: log}
}

func TestChecks(t *testing.T) {
	const log = "kiln: built\n::group::Build\nfirst\nsecond\n::endgroup::\n"
	failed := result(1, "first\n::error file=a,line=3::it broke [run_failed]\n")
	twice := result(1, "::error::one\n::error::two\n")
	fill := strings.Repeat("x", 90)
	tests := map[string]struct {
		check func(testing.TB)
		want  string // "" passes
	}{
		"success":               {func(t testing.TB) { Success(t, result(0, log), result(0, log)) }, ""},
		"success of a failure":  {func(t testing.TB) { Success(t, result(0, log), failed) }, "exit code of step 1 = 1, want 0"},
		"error":                 {func(t testing.TB) { Error(t, failed, "it broke", "[run_failed]", "line=3") }, ""},
		"error of a success":    {func(t testing.TB) { Error(t, result(0, failed.Log)) }, "exit code = 0, want another"},
		"error of other words":  {func(t testing.TB) { Error(t, failed, "[deadline]") }, `does not say "[deadline]"`},
		"error twice":           {func(t testing.TB) { Error(t, twice, "one") }, "log has 2 error commands, want 1"},
		"no error":              {func(t testing.TB) { Error(t, result(1, log)) }, "log has 0 error commands, want 1"},
		"log":                   {func(t testing.TB) { Log(t, result(1, log), "first\n", "second") }, ""},
		"log without":           {func(t testing.TB) { Log(t, result(0, log), "first\n", "third") }, `log has no "third"`},
		"lines":                 {func(t testing.TB) { Lines(t, result(0, log), `::group::.*`, `sec...`) }, ""},
		"lines in other order":  {func(t testing.TB) { Lines(t, result(0, log), `second`, `first`) }, `no line matches "first"`},
		"a line is whole":       {func(t testing.TB) { Lines(t, result(0, log), `sec`) }, `no line matches "sec"`},
		"own log":               {func(t testing.TB) { OwnLog(t, result(0, log), "first\nsecond\n") }, ""},
		"own log has more":      {func(t testing.TB) { OwnLog(t, result(0, log), "first\n") }, "the action's log (-want +got)"},
		"own log of a failure":  {func(t testing.TB) { OwnLog(t, result(3, log), "first\nsecond\n") }, "exit code = 3, want 0"},
		"numbered":              {func(t testing.TB) { Numbered(t, result(0, "kiln: x\n00000001 "+fill+"\n00000002 "+fill+"\n"), 2) }, ""},
		"numbered, one lost":    {func(t testing.TB) { Numbered(t, result(0, "00000001 "+fill+"\n00000003 "+fill+"\n"), 2) }, "line 2 of the action is"},
		"numbered, end is lost": {func(t testing.TB) { Numbered(t, result(0, "00000001 "+fill+"\n"), 2) }, "log has 1 lines of the action, want 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := judge(t, tt.check)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTail(t *testing.T) {
	if got := Tail("short\n"); got != "short\n" {
		t.Errorf("Tail = %q", got)
	}
	got := Tail(strings.Repeat("x", 20<<10) + "the end")
	if !strings.HasPrefix(got, "…x") || !strings.HasSuffix(got, "the end") || len(got) > 9<<10 {
		t.Errorf("Tail is %d bytes: %.10q to %q", len(got), got, got[len(got)-10:])
	}
}
