package repo_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the top of the work tree, seen from this package's directory.
const root = "../.."

// A source is one parsed Go file.
type source struct {
	path string // from the top of the work tree, with slashes
	file *ast.File
	fset *token.FileSet
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

// lines counts the lines of the file, comments and licence included.
func (s source) lines() int { return s.fset.File(s.file.FileStart).LineCount() }

// sources returns every Go file of the work tree but generated and test data.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no Go file found")
	}
	return all
}

// parsed parses them, once for all tests.
var parsed = sync.OnceValues(func() ([]source, error) {
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && ignoredDir(entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if !ast.IsGenerated(file) {
			all = append(all, source{path: relative(path), file: file, fset: fset})
		}
		return nil
	})
	return all, err
})

// ignoredDir tells the directories that the go command ignores, and what make builds.
func ignoredDir(name string) bool {
	return name == "testdata" || name == "bin" || name == "node_modules" ||
		len(name) > 2 && strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

// relative turns a path seen from this package into one from the top of the work tree.
func relative(path string) string {
	return filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
}

// packages groups files by directory, test-only directories included.
func packages(all []source) map[string][]source {
	byDir := map[string][]source{}
	for _, s := range all {
		dir := filepath.ToSlash(filepath.Dir(s.path))
		byDir[dir] = append(byDir[dir], s)
	}
	return byDir
}

// TestPackageComments wants exactly one package comment for each package: none is
// undocumented, and the documentation is not spread over files. A directory that holds
// tests alone is documented in one of them.
func TestPackageComments(t *testing.T) {
	byDir := packages(sources(t))
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		files := slices.DeleteFunc(slices.Clone(byDir[dir]), source.isTest)
		if len(files) == 0 {
			files = byDir[dir]
		}
		var documented []string
		for _, s := range files {
			if s.file.Doc != nil && s.file.Doc.Text() != "" {
				documented = append(documented, s.path)
			}
		}
		switch len(documented) {
		case 0:
			t.Errorf("%s: no package comment", dir)
		case 1:
		default:
			t.Errorf("%s: more than one package comment: %s", dir, strings.Join(documented, ", "))
		}
	}
}

// TestPackageNames refuses names that say nothing about what a package provides.
func TestPackageNames(t *testing.T) {
	refused := []string{"base", "common", "helper", "helpers", "lib", "manager", "misc", "shared", "types", "util", "utils"}
	for dir, files := range packages(sources(t)) {
		for _, s := range files {
			if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(refused, name) {
				t.Errorf("%s: package name %q does not say what the package provides", dir, name)
			}
			base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(s.path), ".go"), "_test")
			if slices.Contains(refused, base) {
				t.Errorf("%s: a file is named after the noun it holds", s.path)
			}
		}
	}
}

// TestNoInit keeps imports free of side effects.
func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: init function; construct what it sets where it is used", s.path, s.line(f.Pos()))
			}
		}
	}
}

// TestSizes holds the limits on files, functions and parameter lists. Test functions may
// be long, since a table of cases reads best in one piece.
func TestSizes(t *testing.T) {
	const (
		fileLines     = 500
		testFileLines = 800
		funcLines     = 80
		parameters    = 5
	)
	for _, s := range sources(t) {
		limit := fileLines
		if s.isTest() {
			limit = testFileLines
		}
		if n := s.lines(); n > limit {
			t.Errorf("%s: %d lines, at most %d", s.path, n, limit)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > funcLines && !s.isTest() {
				t.Errorf("%s:%d: func %s has %d lines, at most %d", s.path, s.line(f.Pos()), f.Name, n, funcLines)
			}
			if n := f.Type.Params.NumFields(); n > parameters {
				t.Errorf("%s:%d: func %s has %d parameters, at most %d", s.path, s.line(f.Pos()), f.Name, n, parameters)
			}
		}
	}
}
