package oracle_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rooted "github.com/containerd/continuity/fs"
	"github.com/google/go-cmp/cmp"
	fsutil "github.com/tonistiigi/fsutil/copy"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
)

const missing = "missing"

// What kiln takes for the sources of a COPY is what BuildKit's own code finds in
// a directory with the same entries.
func TestSourcesAsBuildKit(t *testing.T) {
	const rounds, sources = 20, 40
	random := rand.New(rand.NewPCG(1, 2))
	count := map[string]int{}
	for range rounds {
		root := t.TempDir()
		plant(t, random, root, 2)
		tree := list(t, root)
		for range sources {
			source := makeName(random, []string{"a", "b", "l", "*", "?", "a*", "[ab]", "[^l]*", "..", ".", "", `\a`})
			want, got := buildkit(t, root, tree, source), kiln(t, tree, source)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("COPY %s of %v (-buildkit +kiln):\n%s", source, tree.Below("."), diff)
			}
			for _, name := range got {
				count[name]++
			}
		}
	}
	if len(count) < 20 || count[missing] == 0 || count["."] == 0 {
		t.Errorf("too little was found for a test: %v", count)
	}
}

// plant makes files, directories and links of few names, so that paths meet. No
// target of a link has a dot of its own: BuildKit takes "l/." for a link in l.
func plant(t *testing.T, random *rand.Rand, dir string, depth int) {
	t.Helper()
	for _, name := range []string{"a", "b", "l", "la", "b.a"} {
		at := filepath.Join(dir, name)
		var err error
		switch random.IntN(5) {
		case 0:
			err = os.WriteFile(at, nil, 0o600)
		case 1, 2:
			if err = os.Mkdir(at, 0o755); depth > 0 {
				plant(t, random, at, depth-1)
			}
		case 3:
			err = os.Symlink(makeName(random, []string{"a", "b", "l", ".."}), at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// makeName joins up to four parts, absolute or not. What goes up comes first:
// where it follows a name that is not there, BuildKit goes on all the same.
func makeName(random *rand.Rand, parts []string) string {
	var name []string
	for range 1 + random.IntN(4) {
		name = append(name, parts[random.IntN(len(parts))])
	}
	slices.SortStableFunc(name, func(a, b string) int { return up(b) - up(a) })
	joined := strings.Join(name, "/")
	if random.IntN(4) == 0 {
		joined = "/" + joined
	}
	if joined == "" {
		return "."
	}
	return joined
}

func up(part string) int {
	if part == ".." {
		return 1
	}
	return 0
}

// list makes the tree of a directory.
func list(t *testing.T, root string) *buildcontext.Tree {
	t.Helper()
	var nodes []buildcontext.Node
	err := filepath.WalkDir(root, func(at string, entry os.DirEntry, err error) error {
		if err != nil || at == root {
			return err
		}
		name, err := filepath.Rel(root, at)
		node := buildcontext.Node{Path: name, Dir: entry.IsDir()}
		if entry.Type() == os.ModeSymlink {
			node.Link, err = os.Readlink(at)
		}
		nodes = append(nodes, node)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return buildcontext.NewTree(nodes...)
}

// buildkit returns what BuildKit copies, sorted, or that something is missing.
func buildkit(t *testing.T, root string, tree *buildcontext.Tree, source string) []string {
	t.Helper()
	if belowFile(tree, path.Join("/", source)) {
		return []string{missing} // of such a path BuildKit sends no part into the build
	}
	matches, err := fsutil.ResolveWildcards(root, path.Join("/", source), true)
	if err != nil { // it is not there, or there is no end to its links
		return []string{missing}
	}
	var all []string
	for _, match := range matches {
		resolved, err := rooted.RootPath(root, path.Join("/", match))
		if err == nil {
			_, err = os.Lstat(resolved)
		}
		if err != nil {
			return []string{missing}
		}
		name, err := filepath.Rel(root, resolved)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// belowFile reports whether what a pattern is looked for in is no directory.
func belowFile(tree *buildcontext.Tree, source string) bool {
	at := strings.IndexAny(source, "*?[")
	if at < 0 {
		return false
	}
	node, found := tree.Follow(path.Dir(source[:at] + "x"))
	return found && !node.Dir
}

func kiln(t *testing.T, tree *buildcontext.Tree, source string) []string {
	t.Helper()
	matches, err := copysource.Docker(tree, source)
	if errors.Is(err, copysource.ErrMissing) {
		return []string{missing}
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, match := range matches {
		all = append(all, match.Node.Path)
	}
	slices.Sort(all)
	return all
}
