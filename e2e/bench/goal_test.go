package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGoals(t *testing.T) {
	g := newGoals("a case",
		goal{"first", []bound{{0.45, "old", 0}, {1, "engine", 0}}},
		goal{"again", []bound{{1, "bare", 0.25}, {1.1, "nothing", 0}}},
		goal{"memory", []bound{{0, "", 36}}},
		goal{"unmeasured", []bound{{0, "", 1}}},
		goal{"old", nil}, goal{"bare", nil}, goal{"engine", nil}, goal{"nothing", nil},
	)
	for name, values := range map[string][]float64{
		"first": {9, 1.7, 1.5}, "old": {4, 4, 4}, "engine": {1.6, 1.6}, "again": {1.25}, "bare": {0.75, 1.25}, "memory": {36},
	} {
		for _, v := range values {
			g.add(name, v)
		}
	}
	var out strings.Builder
	failed, err := g.print(&out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a case: first engine"}, failed); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"", "a case median least to most target: at most verdict",
		"first 1.700 1.500 to 9.000 1.800 = 0.45 × old ok", "1.600 = engine MISSED",
		"again 1.250 1.250 to 1.250 1.250 = bare + 0.25 ok", "1.1 × nothing (not measured) -",
		"memory 36.000 36.000 to 36.000 36 ok",
		"unmeasured - - 1 -",
		"old 4.000 4.000 to 4.000", "bare 1.000 0.750 to 1.250", "engine 1.600 1.600 to 1.600", "nothing - -",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// TestGoalsName: a bound is of a row of its table.
func TestGoalsName(t *testing.T) {
	tables := []*goals{runnerGoals()}
	for _, l := range workloads("mirror") {
		tables = append(tables, goalsOf(l))
	}
	for _, g := range tables {
		rows := map[string]bool{"": true}
		for _, r := range g.rows {
			rows[r.name] = true
		}
		for _, r := range g.rows {
			for _, b := range r.bounds {
				if !rows[b.of] {
					t.Errorf("%s: the bound of %q is of %q, which is no row", g.title, r.name, b.of)
				}
			}
		}
	}
}

func TestStepParts(t *testing.T) {
	log := "kiln: reused (built 1m ago) x\nran total 9s\nkiln: context 0.00s, preflight 0.01s, lookup 0.01s, start 1.25s, run 0.50s, total 2.00s\n"
	want := map[string]float64{untilJob: 0.25, jobRuns: 1.25, jobEnds: 0.5}
	if diff := cmp.Diff(want, stepParts(log)); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}
