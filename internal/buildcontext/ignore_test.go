package buildcontext_test

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/patternmatcher"
	"pgregory.net/rapid"

	"kiln/internal/buildcontext"
)

func TestDockerignore(t *testing.T) {
	files := map[string]string{
		"Dockerfile": "FROM a", "README.md": "", "docs/a.md": "", "docs/keep.md": "", "docs/deep/b.md": "",
		"src/main.go": "", "src/gen/x.go": "", "src/gen/x.txt": "", "node_modules/m/index.js": "", "node_modules/m/LICENSE": "", ".git/config": "",
	}
	all := []string{
		".dockerignore", ".git/", ".git/config", "Dockerfile", "README.md", "docs/", "docs/a.md", "docs/deep/", "docs/deep/b.md", "docs/keep.md",
		"node_modules/", "node_modules/m/", "node_modules/m/LICENSE", "node_modules/m/index.js",
		"src/", "src/gen/", "src/gen/x.go", "src/gen/x.txt", "src/main.go",
	}
	for _, tc := range []struct {
		name, ignore string
		want         []string
	}{
		{"empty", "", all},
		{"comments, blanks and a byte order mark", "\xef\xbb\xbf# Dockerfile\n\n  \n", all},
		{"no match", "x\n*.go\nmain.go\n", all},
		{"names", ".git\nnode_modules/\n/docs\nsrc/gen/x.txt\n", []string{".dockerignore", "Dockerfile", "README.md", "src/", "src/gen/", "src/gen/x.go", "src/main.go"}},
		{"unclean patterns", "./src/../docs\n src \n/node_modules//m\n", []string{".dockerignore", ".git/", ".git/config", "Dockerfile", "README.md", "node_modules/"}},
		{"one level", "*/*\n", []string{".dockerignore", ".git/", "Dockerfile", "README.md", "docs/", "node_modules/", "src/"}},
		{"any level", "**/*.md\n**/*.go\n**/m\n", []string{".dockerignore", ".git/", ".git/config", "Dockerfile", "docs/", "docs/deep/", "node_modules/", "src/", "src/gen/", "src/gen/x.txt"}},
		{"all but one file", "*\n!src/main.go\n", []string{".dockerignore", "Dockerfile", "src/", "src/main.go"}},
		{"all but a directory", "**\n!src\n", []string{".dockerignore", "Dockerfile", "src/", "src/gen/", "src/gen/x.go", "src/gen/x.txt", "src/main.go"}},
		{"all but a pattern", "*\n!**/*.go\n", []string{".dockerignore", "Dockerfile", "src/", "src/gen/", "src/gen/x.go", "src/main.go"}},
		{"exception of an exception", "docs\n!docs/*.md\ndocs/a.md\n", []string{
			".dockerignore", ".git/", ".git/config", "Dockerfile", "README.md", "docs/", "docs/keep.md",
			"node_modules/", "node_modules/m/", "node_modules/m/LICENSE", "node_modules/m/index.js", "src/", "src/gen/", "src/gen/x.go", "src/gen/x.txt", "src/main.go",
		}},
		{"later wins", "!src\nsrc\n", []string{
			".dockerignore", ".git/", ".git/config", "Dockerfile", "README.md", "docs/", "docs/a.md", "docs/deep/", "docs/deep/b.md", "docs/keep.md",
			"node_modules/", "node_modules/m/", "node_modules/m/LICENSE", "node_modules/m/index.js",
		}},
		{"exception matches nothing", "*\n!nothing/here\n", []string{".dockerignore", "Dockerfile"}},
		{"classes and single characters", "*\n!src/ge?/x.[gh]o\n", []string{".dockerignore", "Dockerfile", "src/", "src/gen/", "src/gen/x.go"}},
		{"escaped", "*\n!src/gen/x\\.go\n", []string{".dockerignore", "Dockerfile", "src/", "src/gen/", "src/gen/x.go"}},
		{"the builder's files stay", "Dockerfile\n.dockerignore\n*\n", []string{".dockerignore", "Dockerfile"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := contextDir(t, files)
			put(t, root, ".dockerignore", tc.ignore)
			members, _ := stage(t, root)
			if diff := cmp.Diff(tc.want, names(members)); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDockerignoreOfDockerfile(t *testing.T) {
	root := contextDir(t, map[string]string{
		"my.Dockerfile": "FROM a", "my.Dockerfile.dockerignore": "a\n", ".dockerignore": "b\nmy.Dockerfile*\n", "a": "", "b": "",
	})
	var buf bytes.Buffer
	if _, err := buildcontext.Stage(&buf, filepath.Join(root, "my.Dockerfile"), buildcontext.Limits{}); err != nil {
		t.Fatal(err)
	}
	want := []string{".dockerignore", "b", "my.Dockerfile", "my.Dockerfile.dockerignore"}
	if diff := cmp.Diff(want, names(unpack(t, buf.Bytes()))); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestDockerignoreErrors(t *testing.T) {
	for _, tc := range []struct{ name, ignore, want string }{
		{"lone exception mark", "a\n!\n", "a pattern is malformed"},
		{"open class", "[a\n", "a pattern is malformed"},
		{"class that is none", "a[z-a]\n", "a pattern is malformed"},
		{"endless line", strings.Repeat("a", 1<<17), "this is not a list of patterns"},
		{"too large", strings.Repeat("a\n", 1<<20), "the file is larger than 1 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := contextDir(t, map[string]string{"Dockerfile": "FROM a", "az": "", ".dockerignore": tc.ignore})
			_, err := buildcontext.Stage(io.Discard, filepath.Join(root, "Dockerfile"), buildcontext.Limits{})
			wantInputError(t, err, ".dockerignore", tc.want)
		})
	}
}

// TestDockerignoreSkipsNothing compares Stage, which does not enter excluded
// directories without need, with a look at every file there is.
func TestDockerignoreSkipsNothing(t *testing.T) {
	component := rapid.SampledFrom([]string{"a", "b", "ab", "*", "a*", "?", "**", "[a-b]", "[^b]", `\a`, "a**", ".."})
	pattern := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(component, 1, 4).Draw(t, "components")
		mark := rapid.SampledFrom([]string{"", "", "!", "/"}).Draw(t, "mark")
		return mark + strings.Join(parts, "/")
	})
	root := contextDir(t, map[string]string{"Dockerfile": "FROM a"})
	paths := []string{"Dockerfile"}
	for _, x := range []string{"a", "b", "ab"} {
		for _, y := range []string{"a", "b", "ab"} {
			for _, z := range []string{"a", "b", "ab"} {
				paths = append(paths, x+"/"+y+"/"+z)
				put(t, root, x+"/"+y+"/"+z, "")
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		patterns := rapid.SliceOfN(pattern, 1, 4).Draw(rt, "patterns")
		put(t, root, "Dockerfile.dockerignore", strings.Join(patterns, "\n"))
		members, _ := stage(t, root)
		got := map[string]bool{}
		for _, name := range names(members) {
			if !strings.HasSuffix(name, "/") {
				got[name] = true
			}
		}
		if diff := cmp.Diff(included(rt, paths, patterns), got); diff != "" {
			rt.Errorf("files (-want +got):\n%s", diff)
		}
	})
}

// included asks the pattern matcher about every path and its directories.
func included(t *rapid.T, paths, patterns []string) map[string]bool {
	for i, p := range patterns {
		mark := strings.HasPrefix(p, "!")
		p = strings.TrimPrefix(filepath.Clean(strings.TrimPrefix(p, "!")), "/")
		if mark {
			p = "!" + p
		}
		patterns[i] = p
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{"Dockerfile": true, "Dockerfile.dockerignore": true}
	for _, p := range paths {
		var info patternmatcher.MatchInfo
		var excluded bool
		for i, c := range p + "/" {
			if c != '/' {
				continue
			}
			if excluded, info, err = matcher.MatchesUsingParentResults(p[:i], info); err != nil {
				t.Fatal(err)
			}
		}
		if !excluded {
			out[p] = true
		}
	}
	return out
}
