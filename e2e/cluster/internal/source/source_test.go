package source_test

import (
	"os"
	"path/filepath"
	"testing"

	"kiln/e2e/cluster/internal/source"
)

func TestAbove(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "e2e", "nodeimage", "pause")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, ok := source.Above(deep); ok {
		t.Errorf("Above of no repository = %s", got)
	}
	if err := os.WriteFile(filepath.Join(root, "e2e", "nodeimage", "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, start := range []string{deep, root} {
		if got, ok := source.Above(start); !ok || got != root {
			t.Errorf("Above(%s) = %s, %t; want %s", start, got, ok, root)
		}
	}
}
