package repo_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"kiln/internal/config"
	"kiln/internal/golden"
)

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

// TestSettingsTable holds the README's table to the settings.
func TestSettingsTable(t *testing.T) {
	golden.Block(t, filepath.Join(root, "README.md"), "settings", settingsTable())
}
