package metrics_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"kiln/internal/metrics"
)

var update = flag.Bool("update", false, "write the table of docs/operations.md")

// labelsOf lists the labels of a family with their values, sorted.
func labelsOf(family *dto.MetricFamily) string {
	values := map[string]map[string]bool{}
	for _, series := range family.GetMetric() {
		for _, pair := range series.GetLabel() {
			if values[pair.GetName()] == nil {
				values[pair.GetName()] = map[string]bool{}
			}
			values[pair.GetName()][pair.GetValue()] = true
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := "`" + name + "`"
		switch {
		case name == "reason":
			text += ": see [failures.md](failures.md)"
		case family.GetName() != "kiln_build_info":
			text += ": " + strings.Join(slices.Sorted(maps.Keys(values[name])), ", ")
		}
		list = append(list, text)
	}
	return strings.Join(list, "; ")
}

// table renders kiln's own metrics as Markdown.
func table(t *testing.T) string {
	t.Helper()
	families, err := metrics.New(metrics.Options{}).Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("| metric | type | labels | what |\n|---|---|---|---|\n")
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "kiln_") {
			kind := strings.ToLower(family.GetType().String())
			fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", family.GetName(), kind, labelsOf(family), family.GetHelp())
		}
	}
	return text.String()
}

// TestDocument holds the table of docs/operations.md to the registry; -update
// writes it.
func TestDocument(t *testing.T) {
	const file = "../../docs/operations.md"
	const begin, end = "<!-- metrics: written by go test ./internal/metrics -update -->\n", "<!-- /metrics -->"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	got, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no table between %q and %q", file, begin, end)
	}
	want := table(t)
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table is stale, run `go test ./internal/metrics -update` (-want +got):\n%s", diff)
	}
}
