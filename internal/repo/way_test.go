package repo_test

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// way is the section of the architecture that tells a step's way through the code.
const way = "## The way of a step through the code\n"

// TestWayThroughTheCode wants the functions that the picture and the table of a step's
// way name to exist, and each arrow of the picture to be a package's use of another.
func TestWayThroughTheCode(t *testing.T) {
	_, text, found := strings.Cut(documents(t)["docs/architecture.md"], way)
	if !found {
		t.Fatalf("docs/architecture.md has no section %q", way)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	functions, uses := functionsOf(sources(t))
	arrows := regexp.MustCompile(`(?m)^ +(\w+) -->\|([\w.]+)\| (\w+)$`).FindAllStringSubmatch(text, -1)
	if len(arrows) < 20 {
		t.Errorf("only %d arrows were read", len(arrows))
	}
	for _, arrow := range arrows {
		from, function, to := arrow[1], arrow[2], arrow[3]
		if !functions[function] {
			t.Errorf("the arrow from %s to %s names %s, which does not exist", from, to, function)
		}
		if !strings.HasPrefix(function, to+".") || !slices.Contains(uses[from], to) {
			t.Errorf("%s does not use %s for %s", from, to, function)
		}
	}
	answers := regexp.MustCompile("`(imagebuild\\.[\\w.]+)`").FindAllStringSubmatch(text, -1)
	if len(answers) < 10 {
		t.Errorf("only %d answers were read", len(answers))
	}
	for _, answer := range answers {
		if !functions[answer[1]] {
			t.Errorf("the table names %s, which does not exist", answer[1])
		}
	}
}

// TestWayOfJobs wants every package of whole jobs in the picture of the way, and the
// pictures of jobs to name a function on each arrow that is not the runner's.
func TestWayOfJobs(t *testing.T) {
	_, text, _ := strings.Cut(documents(t)["docs/architecture.md"], way)
	text, _, _ = strings.Cut(text, "\n## ")
	for _, name := range []string{
		"agent", "createoptions", "extension", "forward", "job", "jobdir", "jobrun", "podoptions", "service", "servicerun", "workerlog", "workpod",
	} {
		if !regexp.MustCompile(`\| ` + name + `\n`).MatchString(text) {
			t.Errorf("no arrow leads to %s", name)
		}
	}
	functions, _ := functionsOf(sources(t))
	arrow := regexp.MustCompile(`(?m)^ +[A-Z]--?>>[A-Z]: (.+)$`)
	for _, section := range []string{"\n## Whole jobs\n", "\n## The door\n"} {
		_, text, _ := strings.Cut(documents(t)["docs/architecture.md"], section)
		text, _, _ = strings.Cut(text, "\n## ")
		arrows := arrow.FindAllStringSubmatch(text, -1)
		if len(arrows) < 7 {
			t.Errorf("%s: only %d arrows were read", strings.TrimSpace(section), len(arrows))
		}
		for _, label := range arrows {
			function, _, _ := strings.Cut(label[1], ": ")
			if runner := strings.HasPrefix(strings.TrimSpace(label[0]), "R"); !runner && !functions[function] {
				t.Errorf("%s: the arrow %q names no function", strings.TrimSpace(section), label[1])
			}
		}
	}
}

// functionsOf returns the functions and methods of the shim and the packages below internal, as
// package.Function and package.Type.Method, and which of them each package imports.
func functionsOf(all []source) (functions map[string]bool, uses map[string][]string) {
	functions, uses = map[string]bool{}, map[string][]string{}
	for _, s := range all {
		if s.isTest() || !strings.HasPrefix(s.path, "internal/") && !strings.HasPrefix(s.path, "hookshim/") {
			continue
		}
		name := path.Base(path.Dir(s.path))
		for _, spec := range s.file.Imports {
			if imported, err := strconv.Unquote(spec.Path.Value); err == nil && strings.HasPrefix(imported, "kiln/internal/") {
				uses[name] = append(uses[name], path.Base(imported))
			}
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				functions[name+"."+receiver(f)+f.Name.Name] = true
			}
		}
	}
	return functions, uses
}

// receiver is the type that a method is of, with a dot, or "".
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

// TestNoEmbeddingInTheCentre: a type that embeds another to reach its fields hides
// whose they are.
func TestNoEmbeddingInTheCentre(t *testing.T) {
	centre := []string{"request", "imagebuild", "actionrun", "steplog", "runnerpod", "podwait", "label"}
	for _, s := range sources(t) {
		if s.isTest() || !strings.HasPrefix(s.path, "internal/") || !slices.Contains(centre, path.Base(path.Dir(s.path))) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if of, ok := n.(*ast.StructType); ok {
				for _, field := range of.Fields.List {
					if len(field.Names) == 0 {
						t.Errorf("%s:%d: a field without a name", s.path, s.line(field.Pos()))
					}
				}
			}
			return true
		})
	}
}
