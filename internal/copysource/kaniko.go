package copysource

import (
	"path"
	"strings"

	"kiln/internal/buildcontext"
)

// Wild reports whether Kaniko takes a source for a pattern. One such source
// makes it look for all of an instruction's by name.
func Wild(source string) bool { return strings.ContainsAny(source, "*?[") }

// Kaniko returns the entries that Kaniko copies for a source, which may be
// links; it does not follow them. In an instruction that has a source with a
// wildcard, wild is true for all of them. A source that is not there has no
// entry: without wildcards the build fails, with them nothing is said.
//
// The error is [path.ErrBadPattern].
func Kaniko(tree *buildcontext.Tree, source string, wild bool) ([]buildcontext.Node, error) {
	clean := path.Clean(source)
	if !wild {
		if node, found := lstat(tree, clean); found {
			return []buildcontext.Node{node}, nil
		}
		return nil, nil
	}
	pattern := strings.TrimPrefix(clean, "/")
	root, _ := tree.Find(".")
	found, err := matching(nil, pattern, root, path.IsAbs(clean))
	for _, node := range tree.Below(".") {
		if err != nil {
			return nil, err
		}
		found, err = matching(found, pattern, node, false)
	}
	return found, err
}

// matching adds a node if the pattern matches its path. The name of the
// context's own directory is ".", which a wildcard matches too, or nothing where
// the pattern is absolute.
func matching(found []buildcontext.Node, pattern string, node buildcontext.Node, nameless bool) ([]buildcontext.Node, error) {
	name := node.Path
	if nameless {
		name = ""
	}
	matched, err := match(pattern, name)
	if err == nil && (matched || pattern == name) {
		found = append(found, node)
	}
	return found, err
}

// lstat returns the entry that the file system has for a clean path below the
// context: links on the way are followed, the last one is not. One that leads
// out of the context is not found, since what is there is not the context's.
func lstat(tree *buildcontext.Tree, name string) (buildcontext.Node, bool) {
	at, found := tree.Find(".")
	rest := strings.Trim(name, "/")
	for links := 0; found && rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch {
		case part == "" || part == ".":
			continue
		case !at.Dir, part == ".." && at.Path == ".":
			return buildcontext.Node{}, false
		}
		var next buildcontext.Node
		if next, found = tree.Find(path.Join(at.Path, part)); !found || next.Link == "" || rest == "" {
			at = next
			continue
		}
		if links++; links > maxLinks || path.IsAbs(next.Link) {
			return buildcontext.Node{}, false
		}
		rest = next.Link + "/" + rest
	}
	return at, found
}

// maxLinks bounds the links on the way to a name, as Linux does.
const maxLinks = 40
