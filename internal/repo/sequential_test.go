package repo_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSequential wants the packages that the Makefile has tested without the race
// detector to exist, and none of them to start a goroutine.
func TestSequential(t *testing.T) {
	listed := sequential(t)
	if len(listed) < 10 {
		t.Errorf("only %q were read", listed)
	}
	all := packages(sources(t))
	for _, dir := range listed {
		if len(all[dir]) == 0 {
			t.Errorf("the Makefile's SEQUENTIAL names %s, which does not exist", dir)
		}
		for _, s := range all[dir] {
			if line := s.goroutine(); line > 0 && !s.isTest() {
				t.Errorf("%s:%d: it starts a goroutine: take %s out of the Makefile's SEQUENTIAL", s.path, line, dir)
			}
		}
	}
}

// TestGoroutine finds each way to start one.
func TestGoroutine(t *testing.T) {
	for statement, want := range map[string]int{"go f()": 3, "group.Go(f)": 3, "time.AfterFunc(1, f)": 3, "group.Gone(f)": 0} {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "a.go", "package a\nfunc g() {\n"+statement+"\n}", 0)
		if err != nil {
			t.Fatal(err)
		}
		if line := (source{file: file, fset: fset}).goroutine(); line != want {
			t.Errorf("%s: line %d, want %d", statement, line, want)
		}
	}
}

// sequential is the Makefile's list, as directories.
func sequential(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)\nSEQUENTIAL := \$\(addprefix kiln/,(.*?)\$\(addprefix internal/,\\\n(.*?)\)\)\n`).FindSubmatch(text)
	if list == nil {
		t.Fatal("the Makefile has no SEQUENTIAL")
	}
	listed := strings.Fields(string(list[1]))
	for name := range strings.FieldsSeq(strings.ReplaceAll(string(list[2]), "\\", " ")) {
		listed = append(listed, "internal/"+name)
	}
	return listed
}

// goroutine is the first line that starts one, 0 where none does.
func (s source) goroutine() int {
	line := 0
	ast.Inspect(s.file, func(n ast.Node) bool {
		starts := false
		switch n := n.(type) {
		case *ast.GoStmt:
			starts = true
		case *ast.SelectorExpr:
			starts = n.Sel.Name == "Go" || n.Sel.Name == "AfterFunc"
		}
		if starts && line == 0 {
			line = s.line(n.Pos())
		}
		return line == 0
	})
	return line
}
