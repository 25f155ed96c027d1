package repo_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/config"
)

var update = flag.Bool("update", false, "write the settings table of the README")

// settingsTable renders the daemon's settings as a Markdown table, from the same tags
// that kong reads.
func settingsTable() string {
	var table strings.Builder
	table.WriteString("| variable | default | what |\n|---|---|---|\n")
	for field := range reflect.TypeFor[config.Settings]().Fields() {
		value := strings.ReplaceAll(field.Tag.Get("default"), "${kaniko_image}", config.KanikoImage)
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", field.Tag.Get("env"), value, field.Tag.Get("help"))
	}
	return table.String()
}

// TestSettingsTable holds the README's table to the settings; -update writes it.
func TestSettingsTable(t *testing.T) {
	const begin, end = "<!-- settings: written by go test ./internal/repo -update -->\n", "<!-- /settings -->"
	file := filepath.Join(root, "README.md")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	got, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("README.md has no settings table between %q and %q", begin, end)
	}
	want := settingsTable()
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the README's settings table is stale, run `go test ./internal/repo -update` (-want +got):\n%s", diff)
	}
}
