package repo_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents returns the text of each tracked Markdown file by its path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, file := range tracked(t) {
		if filepath.Ext(file) != ".md" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(data)
	}
	return texts
}

// TestDocumentCommands wants a target for each `make` command that a document shows.
func TestDocumentCommands(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(string(makefile), -1) {
		targets[match[1]] = true
	}
	shown := regexp.MustCompile("(?m)(?:^|`)(?:[A-Z_]+=\\S+ )*make ([a-z0-9-]+)")
	for file, text := range documents(t) {
		for _, match := range shown.FindAllStringSubmatch(text, -1) {
			if !targets[match[1]] {
				t.Errorf("%s: shows `make %s`, which is no target of the Makefile", file, match[1])
			}
		}
	}
}

// TestHelp wants a line of help for each target that is not a file.
func TestHelp(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^([a-z0-9-]+):(.*)$`).FindAllStringSubmatch(string(makefile), -1) {
		if !strings.Contains(match[2], "## ") {
			t.Errorf("Makefile: target %s has no ## help", match[1])
		}
	}
}

// TestDocumentLinks wants a file behind each relative link.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	for file, text := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			target := filepath.Join(root, filepath.Dir(file), match[1])
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s leads nowhere", file, match[1])
			}
		}
	}
}

// TestArchitecturePackages wants a row for each package of internal/.
func TestArchitecturePackages(t *testing.T) {
	text := documents(t)["docs/architecture.md"]
	for dir := range packages(sources(t)) {
		if parent := filepath.Dir(dir); parent == "internal" && !strings.Contains(text, "| `"+dir+"` |") {
			t.Errorf("docs/architecture.md: no row for %s", dir)
		}
	}
}
