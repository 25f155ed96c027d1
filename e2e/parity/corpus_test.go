package main

import (
	"path/filepath"
	"strings"
	"testing"

	"kiln/e2e/parity/internal/expected"
	kaniko "kiln/internal/executor"
)

// The result to expect of the default executor stands beside every case, and no
// case has gone that one is expected of.
func TestEveryCaseIsExpected(t *testing.T) {
	o := options{corpus: "corpus"}
	o.flavor.Name = kaniko.Osscontainertools
	results, err := expected.Load(o.expected())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("corpus/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	known := map[string]bool{}
	for _, file := range files {
		id := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "corpus/"), ".txtar")
		if known[id] = true; results[id].Verdict == "" {
			t.Errorf("%s lacks the result of %s: hack/parity --executor IMAGE --record", o.expected(), id)
		}
	}
	for id := range results {
		if !known[id] && !strings.HasPrefix(id, "kaniko/") && !strings.HasPrefix(id, "limits/test_") {
			t.Errorf("%s has a result of %s, which is no case", o.expected(), id)
		}
	}
}
