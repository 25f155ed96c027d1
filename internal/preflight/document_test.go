package preflight_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kiln/internal/golden"
	"kiln/internal/preflight"
)

// supportTable renders the table as Markdown.
func supportTable() string {
	var b strings.Builder
	b.WriteString("| rule | construct | chainguard 1.25.16 | osscontainertools 1.28.3 | why, and what to write |\n|---|---|---|---|---|\n")
	for _, row := range preflight.Table() {
		fmt.Fprintf(&b, "| %s%s | %s | %s | %s | %s. %s |\n",
			anchor(row), row.ID, strings.ReplaceAll(row.Name, "`", "\\`"), cell(row, preflight.Chainguard), cell(row, preflight.Osscontainertools), row.Message, row.Advice)
	}
	return b.String()
}

// anchor is what a link to a row leads to.
func anchor(row preflight.Row) string { return `<a id="` + row.ID + `"></a>` }

// Every rule has a name of its own, which is documented once and can be linked to.
func TestRuleNames(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "dockerfile.md"))
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile(`^([A-Z]+[a-z]+)+$`)
	seen := map[string]bool{}
	for _, row := range preflight.Table() {
		if lower := strings.ToLower(row.ID); seen[lower] || !word.MatchString(row.ID) {
			t.Errorf("%q, of the row %q, is no name of its own in camel case", row.ID, row.Name)
		} else {
			seen[lower] = true
		}
		if count := strings.Count(string(data), anchor(row)); count != 1 {
			t.Errorf("docs/dockerfile.md has %d anchors %s; `make generate` writes the table", count, anchor(row))
		}
	}
}

// cell is the verdict of a row for a flavor, and how it is known.
func cell(row preflight.Row, flavor string) string {
	if row.Read(flavor) {
		return row.Verdict(flavor).String() + " (read)"
	}
	return row.Verdict(flavor).String()
}

// What is marked is in the table.
func TestReadCells(t *testing.T) {
	for _, flavor := range flavors() {
		read := 0
		for _, row := range preflight.Table() {
			if row.Read(flavor) {
				read++
			}
		}
		if want := map[string]int{preflight.Chainguard: 9, preflight.Osscontainertools: 14}[flavor]; read != want {
			t.Errorf("%s: %d rows are marked as read, want %d: a name is not in the table", flavor, read, want)
		}
	}
}

// The document shows the table that kiln goes by.
func TestDocument(t *testing.T) {
	golden.Block(t, filepath.Join("..", "..", "docs", "dockerfile.md"), "table", supportTable())
}
