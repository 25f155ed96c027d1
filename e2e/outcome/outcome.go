// Package outcome says what a step has to have come to: each function fails the test
// unless a result is so, and shows the end of the step's log. None of them waits, and
// none changes a result.
package outcome

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// Success ends the test unless all steps succeeded.
func Success(t testing.TB, results ...*harness.Result) {
	t.Helper()
	for i, r := range results {
		if r.ExitCode != 0 {
			t.Fatalf("exit code of step %d = %d, want 0:\n%s", i, r.ExitCode, Tail(r.Log))
		}
	}
}

// Error wants a step that failed and said why in one error command that contains every
// text.
func Error(t testing.TB, result *harness.Result, texts ...string) {
	t.Helper()
	if result.ExitCode == 0 {
		t.Errorf("exit code = 0, want another:\n%s", Tail(result.Log))
	}
	errors := Errors(result.Log)
	if len(errors) != 1 {
		t.Errorf("log has %d error commands, want 1:\n%s", len(errors), Tail(result.Log))
		return
	}
	for _, text := range texts {
		if !strings.Contains(errors[0], text) {
			t.Errorf("error %q does not say %q", errors[0], text)
		}
	}
}

// Log wants every text in the step's log.
func Log(t testing.TB, result *harness.Result, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(result.Log, text) {
			t.Errorf("log has no %q:\n%s", text, Tail(result.Log))
		}
	}
}

// Lines wants lines in the step's log that match the patterns, in that order. Others may
// stand between them.
func Lines(t testing.TB, result *harness.Result, patterns ...string) {
	t.Helper()
	rest := result.Log
	for _, pattern := range patterns {
		at := regexp.MustCompile(`(?m)^` + pattern + `$`).FindStringIndex(rest)
		if at == nil {
			t.Errorf("no line matches %q where it should:\n%s", pattern, Tail(result.Log))
			return
		}
		rest = rest[at[1]:]
	}
}

// OwnLog wants a step that succeeded, and exactly that log of the action's own.
func OwnLog(t testing.TB, result *harness.Result, want string) {
	t.Helper()
	if result.ExitCode != 0 {
		t.Errorf("exit code = %d, want 0:\n%s", result.ExitCode, Tail(result.Log))
	}
	if diff := cmp.Diff(want, Own(result.Log)); diff != "" {
		t.Errorf("the action's log (-want +got):\n%s", diff)
	}
}

// Numbered wants that many lines in the log as the action big-log prints them, in order.
func Numbered(t testing.TB, result *harness.Result, lines int) {
	t.Helper()
	fill := strings.Repeat("x", 90)
	next := 1
	for line := range strings.Lines(result.Log) {
		if len(line) < 9 || line[8] != ' ' || !strings.HasSuffix(line, fill+"\n") {
			continue // not the action's
		}
		if want := fmt.Sprintf("%08d %s\n", next, fill); line != want {
			t.Fatalf("line %d of the action is %q", next, line)
		}
		next++
	}
	if next-1 != lines {
		t.Errorf("log has %d lines of the action, want %d", next-1, lines)
	}
}

// Own are the lines of a log that are the action's, neither kiln's nor commands.
func Own(log string) string {
	var lines strings.Builder
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "kiln: ") && !strings.HasPrefix(line, "::") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// Errors are what the error commands of a log say, each with its position.
func Errors(log string) []string {
	var said []string
	for _, c := range runner.Commands(log) {
		if c.Name == "error" {
			said = append(said, strings.TrimSpace(c.Properties+" "+c.Data))
		}
	}
	return said
}

// Tail is the end of a log, short enough for a failure message.
func Tail(log string) string {
	const limit = 8 << 10
	if len(log) <= limit {
		return log
	}
	return "…" + log[len(log)-limit:]
}
