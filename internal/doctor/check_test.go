package doctor

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/golden"
)

// says is a check that finds one thing.
func says(name string, status Status, needs ...string) check {
	return check{name: name, needs: needs, limit: time.Minute, run: func(context.Context) []Finding { return one(status, "seen", "") }}
}

func TestWhatBuildsOnAFaultIsSkipped(t *testing.T) {
	got := runAll(t.Context(), []check{
		says("a", Fail), says("b", Warn), says("c", OK, "a"), says("d", OK, "b"), says("e", OK, "c", "a"),
		{name: "f", after: []string{"a"}, limit: time.Minute, run: func(context.Context) []Finding { return ok("still") }},
	})
	want := []Finding{
		{"a", Fail, "seen", ""},
		{"b", Warn, "seen", ""},
		{"c", Skip, "a has a fault", ""},
		{"d", OK, "seen", ""},
		{"e", Skip, "c was skipped, a has a fault", ""},
		{"f", OK, "still", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings differ (-want +got):\n%s", diff)
	}
}

func TestChecksRunAtOnce(t *testing.T) {
	met := make(chan struct{})
	meet := func(ctx context.Context) []Finding {
		select {
		case met <- struct{}{}:
		case <-met:
		case <-ctx.Done():
			return fail("alone", "")
		}
		return ok("met")
	}
	got := runAll(t.Context(), []check{{name: "a", limit: 10 * time.Second, run: meet}, {name: "b", limit: 10 * time.Second, run: meet}})
	if diff := cmp.Diff([]Finding{{"a", OK, "met", ""}, {"b", OK, "met", ""}}, got); diff != "" {
		t.Errorf("findings differ (-want +got):\n%s", diff)
	}
}

func TestInterruptedChecks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	got := runAll(ctx, []check{
		{name: "a", limit: time.Minute, run: func(ctx context.Context) []Finding {
			cancel()
			<-ctx.Done()
			return ok("ended")
		}},
		{name: "b", after: []string{"a"}, limit: time.Minute, run: func(context.Context) []Finding { return fail("ran", "") }},
		{name: "c", after: []string{"a"}, limit: time.Minute, always: true, run: func(ctx context.Context) []Finding {
			if ctx.Err() != nil {
				return fail("its context has ended", "")
			}
			return ok("cleaned up")
		}},
	})
	want := []Finding{{"a", OK, "ended", ""}, {"b", Skip, "interrupted", ""}, {"c", OK, "cleaned up", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings differ (-want +got):\n%s", diff)
	}
}

func TestChecksHaveALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := runAll(t.Context(), []check{
			{name: "slow", limit: time.Minute, run: func(ctx context.Context) []Finding {
				<-ctx.Done()
				return fail(ctx.Err().Error(), "")
			}},
			{name: "spent", limit: -time.Nanosecond, run: func(ctx context.Context) []Finding { return fail("spent: "+ctx.Err().Error(), "") }},
			{name: "mute", limit: time.Minute, run: func(context.Context) []Finding { return nil }},
		})
		want := []Finding{
			{"slow", Fail, "context deadline exceeded", ""},
			{"spent", Fail, "spent: context deadline exceeded", ""},
			{"mute", Fail, "the check mute says nothing", "report it"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("findings differ (-want +got):\n%s", diff)
		}
	})
}

// TestOrder wants each check to stand after those that it waits for, or it
// would wait for nothing.
func TestOrder(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range (&examination{}).checks() {
		for _, name := range append(append([]string{}, c.after...), c.needs...) {
			if !seen[name] {
				t.Errorf("%s waits for %s, which does not stand before it", c.name, name)
			}
		}
		if seen[c.name] || c.limit <= 0 {
			t.Errorf("%s stands twice or has no limit", c.name)
		}
		seen[c.name] = true
	}
}

// TestDocument wants a row of docs/operations.md for each check, in their order.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## kilnd doctor")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows, names []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(section, -1) {
		rows = append(rows, row[1])
	}
	for _, c := range (&examination{}).checks() {
		names = append(names, c.name)
	}
	if diff := cmp.Diff(names, rows); diff != "" {
		t.Errorf("docs/operations.md has other checks (-checks +rows):\n%s", diff)
	}
}

func sample() Report {
	return Report{
		Version: 1, Place: Sidecar, Namespace: "runners", Pod: "my-set-abcde-runner-fghij", Faults: 1, Warnings: 1,
		Findings: []Finding{
			{"kubernetes", OK, "Kubernetes v1.34.4", ""},
			{"clock", Warn, "this machine's clock is 45s behind the registry", "synchronize the clocks"},
			{"login", Fail, "registry.example.com refuses the credentials: <UNAUTHORIZED>", "create the Secret anew"},
			{"push", Skip, "login has a fault", ""},
		},
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := sample().Table(&out); err != nil {
		t.Fatal(err)
	}
	golden.File(t, filepath.Join("testdata", "table.txt"), out.String())
}

func TestJSON(t *testing.T) {
	var out strings.Builder
	if err := sample().JSON(&out); err != nil {
		t.Fatal(err)
	}
	golden.File(t, filepath.Join("testdata", "report.json"), out.String())
}

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\t c":                   "a b c",
		"\x1b[31mred":                "[31mred",
		strings.Repeat("x", maxText): strings.Repeat("x", maxText),
		strings.Repeat("x", 2000):    strings.Repeat("x", maxText) + " …",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("oneLine(%.20q) = %.40q", text, got)
		}
	}
}
