package metrics_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"kiln/internal/golden"
	"kiln/internal/metrics"
)

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

// TestDocument holds the table of docs/operations.md to the registry.
func TestDocument(t *testing.T) {
	golden.Block(t, "../../docs/operations.md", "metrics", table(t))
}
