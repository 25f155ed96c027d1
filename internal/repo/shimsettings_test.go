package repo_test

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/agent"
)

// TestShimSettings holds the README's table of the runner container's variables to the
// names in the shim's source.
func TestShimSettings(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), "\nEnvironment variables of the `runner` container:\n")
	table, _, found := strings.Cut(after, "\n## ")
	if !found {
		t.Fatal("README.md has no table of the runner container's variables")
	}
	table, ofActions, _ := strings.Cut(table, "\nEnvironment variable of an action")
	if !strings.Contains(ofActions, "| `"+agent.InitVariable+"` |") {
		t.Errorf("README.md does not have %s behind that table", agent.InitVariable)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(documented)
	if diff := cmp.Diff(shimSettings(t), documented); diff != "" {
		t.Errorf("the README's table of the runner container's variables differs from the shim (-shim +README):\n%s", diff)
	}
}

// shimSettings lists the string literals of the shim that are names of kiln's variables.
func shimSettings(t *testing.T) []string {
	t.Helper()
	name := regexp.MustCompile(`^KILN_[A-Z_]+$`)
	names := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() || filepath.Dir(s.path) != "hookshim" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				if err == nil && name.MatchString(text) {
					names[text] = true
				}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(names))
}
