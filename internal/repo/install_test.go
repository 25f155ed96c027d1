package repo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"kiln/internal/extension"
	"kiln/internal/kaniko"
)

// The templates of docs/install.md are such that kiln takes them, and the chart
// has values of their names.
func TestInstallTemplates(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml\nbuildTemplate:")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/install.md shows no buildTemplate")
	}
	var values map[string]any
	if err := yaml.Unmarshal([]byte("buildTemplate:"+text), &values); err != nil {
		t.Fatal(err)
	}
	for name, parse := range map[string]func([]byte) error{
		"buildTemplate": func(data []byte) error { _, err := kaniko.ParseTemplate(data); return err },
		"hookTemplate":  func(data []byte) error { _, err := extension.Parse(data); return err },
	} {
		template, err := yaml.Marshal(values[name])
		if err != nil || values[name] == nil {
			t.Fatalf("%s: %v, %v", name, values[name], err)
		}
		if err := parse(template); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		held := chartFile(t, "values.yaml")
		if !strings.Contains(held, "\n"+name+":") {
			t.Errorf("the chart has no value %s", name)
		}
	}
}
