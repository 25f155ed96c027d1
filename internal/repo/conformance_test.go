package repo_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A claim is the test that a row of the conformance table names: dir.TestName/part/part,
// where a missing dir is e2e.
type claim struct {
	dir, test string
	parts     []string
}

// claims returns the tests that a cell names in back quotes.
func claims(cell string) []claim {
	var list []claim
	for _, match := range regexp.MustCompile("`(?:([a-z][a-z0-9/]*)\\.)?((?:Test|Fuzz)[A-Za-z0-9]+)((?:/[^`]+)?)`").FindAllStringSubmatch(cell, -1) {
		c := claim{dir: match[1], test: match[2]}
		if c.dir == "" {
			c.dir = "e2e"
		}
		if match[3] != "" {
			c.parts = strings.Split(match[3][1:], "/")
		}
		list = append(list, c)
	}
	return list
}

// TestConformanceTable wants a test, or the reason why there is none, in each row, and
// each named test in the named package, subtests by their literal names.
func TestConformanceTable(t *testing.T) {
	const file = "docs/conformance.md"
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for number, line := range strings.Split(string(data), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| behaviour ") {
			continue
		}
		last := strings.TrimSpace(cells[len(cells)-1])
		named := claims(last)
		if len(cells) != 2 || len(named) == 0 && !strings.HasPrefix(last, "none: ") {
			t.Errorf("%s:%d: names no test and no reason why there is none", file, number+1)
		}
		for _, c := range named {
			if texts[c.dir] == "" {
				texts[c.dir] = testTexts(t, c.dir)
			}
			if missing := c.missing(texts[c.dir]); missing != "" {
				t.Errorf("%s:%d: %s has no %s", file, number+1, c.dir, missing)
			}
		}
	}
	if len(texts) == 0 {
		t.Errorf("%s: no row found", file)
	}
}

// missing is what the tests' text does not hold of the claim.
func (c claim) missing(text string) string {
	if !strings.Contains(text, "\nfunc "+c.test+"(") {
		return c.test
	}
	for _, part := range c.parts {
		script := filepath.Join(root, c.dir, "testdata", "script", part+".txt")
		if _, err := os.Stat(script); err != nil && !strings.Contains(text, `"`+part+`"`) {
			return c.test + "/" + part
		}
	}
	return ""
}

// testTexts joins the test files of a directory.
func testTexts(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	return text.String()
}
