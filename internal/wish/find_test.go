package wish

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	ofDocker    = "runs:\n  using: docker\n  image: Dockerfile\n"
	ofNode      = "runs:\n  using: node20\n  main: x.js\n"
	ofComposite = "runs:\n  using: composite\n  steps:\n    - uses: acme/mono/deep@v2\n    - uses: acme/lint@v1\n    - uses: acme/other@v9\n"
)

// work lays out a work folder with what the runner has downloaded: each file of files, and
// a mark for each repository.
func work(t *testing.T, files map[string]string, repositories ...string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, "_actions", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		write(name, text)
	}
	for _, name := range repositories {
		write(name+".completed", "")
	}
	return dir
}

// found lists Dockerfiles relative to _actions.
func found(dir string, named []Action, limit int) []string {
	names := []string{}
	for _, name := range Dockerfiles(dir, named, limit) {
		names = append(names, strings.TrimPrefix(name, filepath.Join(dir, "_actions")+"/"))
	}
	return names
}

func TestDockerfiles(t *testing.T) {
	files := map[string]string{
		"acme/lint/v1/action.yml": ofDocker, "acme/lint/v1/Dockerfile": "FROM x",
		// One action of many, and a fixture.
		"acme/mono/v2/action.yml": ofNode, "acme/mono/v2/deep/action.yaml": ofDocker, "acme/mono/v2/deep/Dockerfile": "FROM x",
		"acme/mono/v2/tests/action.yml": ofDocker, "acme/mono/v2/tests/Dockerfile": "FROM x",
		// No action at the root; a reference with a slash.
		"acme/tools/releases/v1/a/action.yml": ofDocker, "acme/tools/releases/v1/a/Dockerfile": "FROM x",
		"acme/tools/releases/v1/b/Dockerfile": "FROM x",
		// A Dockerfile alone.
		"acme/bare/main/dockerfile": "FROM x",
		"acme/both/v1/action.yml":   ofComposite,
		// Not whole.
		"acme/half/v1/action.yml": ofDocker, "acme/half/v1/Dockerfile": "FROM x",
		"acme/none/v1/action.yml": ofDocker,
		"acme/up/v1/x/action.yml": strings.Replace(ofDocker, "Dockerfile", "../Dockerfile", 1), "acme/up/v1/Dockerfile": "FROM x",
		"acme/out/v1/action.yml": strings.Replace(ofDocker, "Dockerfile", "../../lint.Dockerfile", 1), "acme/lint.Dockerfile": "FROM x",
	}
	repositories := []string{"acme/lint/v1", "acme/mono/v2", "acme/tools/releases/v1", "acme/bare/main", "acme/both/v1", "acme/none/v1", "acme/up/v1", "acme/out/v1"}
	const (
		lint = "acme/lint/v1/Dockerfile"
		deep = "acme/mono/v2/deep/Dockerfile"
		a    = "acme/tools/releases/v1/a/Dockerfile"
		bare = "acme/bare/main/dockerfile"
		up   = "acme/up/v1/Dockerfile"
	)
	for name, tt := range map[string]struct {
		named []Action
		limit int
		want  []string
	}{
		"without a message": {nil, 20, []string{bare, deep, lint, a, up}},
		"a few":             {nil, 2, []string{bare, deep}},
		"none":              {[]Action{}, 20, nil},
		"in order": {[]Action{
			{Repository: "acme/up", Ref: "v1", Path: "x"}, {Repository: "acme/lint", Ref: "v1"}, {Repository: "acme/mono", Ref: "v2"},
		}, 20, []string{up, lint}},
		"a composite one": {[]Action{{Repository: "acme/both", Ref: "v1"}}, 20, []string{deep, lint}},
		"a path":          {[]Action{{Repository: "acme/tools", Ref: "releases/v1", Path: "a"}}, 20, []string{a}},
		"bare":            {[]Action{{Repository: "acme/bare", Ref: "main"}}, 20, []string{bare}},
		"not there":       {[]Action{{Repository: "acme/half", Ref: "v1"}, {Repository: "../..", Ref: "etc"}, {Repository: "acme/out", Ref: "v1"}}, 20, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == nil {
				tt.want = []string{}
			}
			if diff := cmp.Diff(tt.want, found(work(t, files, repositories...), tt.named, tt.limit)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLinks: nothing is followed, and nothing waited for.
func TestLinks(t *testing.T) {
	elsewhere := work(t, map[string]string{"x/action.yml": ofDocker, "x/Dockerfile": "FROM x"})
	dir := work(t, map[string]string{"acme/a/v1/x": "", "acme/b/v1/action.yml": ofDocker, "acme/c/x": "", "acme/d/v1/x": ""},
		"acme/a/v1", "acme/b/v1", "acme/c/v1", "acme/d/v1", "acme/e/v1")
	at := func(name string) string { return filepath.Join(dir, "_actions", name) }
	for name, to := range map[string]string{
		"acme/a/v1/action.yml": filepath.Join(elsewhere, "_actions/x/action.yml"),
		"acme/a/v1/Dockerfile": "x",
		"acme/b/v1/Dockerfile": filepath.Join(elsewhere, "_actions/x/Dockerfile"),
		"acme/c/v1":            filepath.Join(elsewhere, "_actions/x"),
		"acme/d/v1/loop":       ".",
	} {
		if err := os.Symlink(to, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(at("acme/d/v1/action.yml"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got := found(dir, nil, 20); len(got) > 0 {
		t.Errorf("found %v", got)
	}
	if err := os.RemoveAll(at("")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(elsewhere, "_actions"), at("")); err != nil {
		t.Fatal(err)
	}
	if got := found(dir, nil, 20); len(got) > 0 {
		t.Errorf("by a link, found %v", got)
	}
	if got := found(filepath.Join(dir, "none"), nil, 20); len(got) > 0 {
		t.Errorf("without a folder, found %v", got)
	}
}

// TestBounds: a tree of any size is looked at in part.
func TestBounds(t *testing.T) {
	files := map[string]string{}
	for i := range 3 * maxActions {
		files[fmt.Sprintf("acme/mono/v1/%03d/action.yml", i)] = ofDocker
		files[fmt.Sprintf("acme/mono/v1/%03d/Dockerfile", i)] = "FROM x"
	}
	dir := work(t, files, "acme/mono/v1", strings.Repeat("d/", maxDepth+2)+"v1")
	if got := found(dir, nil, 1000); len(got) == 0 || len(got) > maxActions {
		t.Errorf("found %d", len(got))
	}
}

func BenchmarkDockerfiles(b *testing.B) {
	dir := b.TempDir()
	for i := range 20 {
		at := filepath.Join(dir, "_actions", "acme", fmt.Sprint(i))
		for j := range 100 {
			if err := os.MkdirAll(filepath.Join(at, "v1", fmt.Sprint(j)), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		for name, text := range map[string]string{"v1/action.yml": ofDocker, "v1/Dockerfile": "FROM x", "v1.completed": ""} {
			if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		if got := len(Dockerfiles(dir, nil, 20)); got != 20 {
			b.Fatal(got)
		}
	}
}
