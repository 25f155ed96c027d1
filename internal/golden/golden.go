// Package golden compares what tests make with files of the repository: whole files,
// and blocks of documents. With the flag -update of a test the files are written
// instead of compared with; `make generate` does that for every package that uses this
// one. It is for tests, and nothing that is shipped is linked from it.
package golden

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files and generated blocks, as make generate does")

// Updating reports whether files are written instead of compared with: then a test that
// reads what another package generates has nothing to hold yet.
func Updating() bool { return *update }

// File wants the file, named from the test's directory, to hold text, or writes it.
func File(t testing.TB, file, text string) {
	t.Helper()
	if *update {
		write(t, file, text)
		return
	}
	if diff := cmp.Diff(read(t, file), text); diff != "" {
		t.Errorf("%s is stale, see `make generate` (-file +made):\n%s", file, diff)
	}
}

// Block wants a block of a document, named from the test's directory, to hold text, or
// writes it. The block stands between the lines
//
//	<!-- name: written by make generate -->
//	<!-- /name -->
func Block(t testing.TB, file, name, text string) {
	t.Helper()
	document, err := replaced(read(t, file), name, text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	File(t, file, document)
}

// replaced is a document with another text in the block of that name.
func replaced(document, name, text string) (string, error) {
	begin, end := "<!-- "+name+": written by make generate -->\n", "<!-- /"+name+" -->\n"
	before, rest, found := strings.Cut(document, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed || strings.Contains(after, begin) {
		return "", fmt.Errorf("there is no one block between %q and %q", begin, end)
	}
	return before + begin + text + end + after, nil
}

func read(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// write replaces a file that differs, and keeps its mode.
func write(t testing.TB, file, text string) {
	t.Helper()
	if old, err := os.ReadFile(file); err == nil && string(old) == text {
		return
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
