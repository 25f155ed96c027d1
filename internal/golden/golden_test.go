package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test whose failures are looked at.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, _ ...any) { r.failures = append(r.failures, format) }

const document = "text\n<!-- a: written by make generate -->\nold\n<!-- /a -->\nmore\n"

// TestFile compares, and writes where that is asked for.
func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		check  func(t testing.TB)
		update bool
		fails  bool
	}{
		{"the same", func(t testing.TB) { File(t, file, document) }, false, false},
		{"another", func(t testing.TB) { File(t, file, "x") }, false, true},
		{"the same block", func(t testing.TB) { Block(t, file, "a", "old\n") }, false, false},
		{"another block", func(t testing.TB) { Block(t, file, "a", "new\n") }, false, true},
		{"a block that is written", func(t testing.TB) { Block(t, file, "a", "new\n") }, true, false},
		{"what was written", func(t testing.TB) { File(t, file, strings.Replace(document, "old", "new", 1)) }, false, false},
	} {
		before := *update
		*update = tt.update
		r := &recorder{TB: t}
		tt.check(r)
		*update = before
		if failed := len(r.failures) > 0; failed != tt.fails {
			t.Errorf("%s: failed = %v, %q", tt.name, failed, r.failures)
		}
	}
}

// TestReplaced refuses a document without that one block.
func TestReplaced(t *testing.T) {
	for name, text := range map[string]string{
		"no block":      "text\n",
		"no end":        "<!-- a: written by make generate -->\nold\n",
		"another's end": "<!-- a: written by make generate -->\nold\n<!-- /b -->\n",
		"two":           document + document,
	} {
		if got, err := replaced(text, "a", "new\n"); err == nil {
			t.Errorf("%s: %q, want an error", name, got)
		}
	}
}
