package repo_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// constants returns those string constants of a directory's files, without tests, whose
// names match, by name.
func constants(t *testing.T, dir string, match *regexp.Regexp) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, s := range packages(sources(t))[dir] {
		if s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 || !match.MatchString(spec.Names[0].Name) {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil {
					found[spec.Names[0].Name] = text
				}
			}
			return true
		})
	}
	return found
}

// TestProtocolNames wants the page of the exchange to name each file and directory of
// exchange and state, and each call, that the code does.
func TestProtocolNames(t *testing.T) {
	page := documents(t)["docs/protocol.md"]
	_, calls, _ := strings.Cut(page, "\n## Calls about a job\n")
	for _, of := range []struct {
		dir, names, text string
		suffix           string // of the file of that name
		least            int
	}{
		{"internal/spool", `^(file|dir)[A-Z]`, page, "", 14},
		{"internal/spool", `^keptMade$`, page, ".json", 1},
		{"internal/request", `^kept[A-Z]`, page, ".json", 6},
		{"internal/app", `^kept[A-Z]`, page, ".json", 1},
		{"internal/resolver", `^keptName$`, page, "", 1},
		{"internal/hook", `^(Prepare|Cleanup|Explain)Job$|^RunScriptStep$`, calls, "", 4},
	} {
		found := constants(t, of.dir, regexp.MustCompile(of.names))
		if len(found) < of.least {
			t.Errorf("%s has %d names like %s, want %d or more", of.dir, len(found), of.names, of.least)
		}
		for constant, name := range found {
			shown := regexp.MustCompile("[`/]" + regexp.QuoteMeta(name+of.suffix) + "[`/]")
			if !shown.MatchString(of.text) {
				t.Errorf("docs/protocol.md does not name %s, which is %s of %s", name+of.suffix, constant, of.dir)
			}
		}
	}
}
