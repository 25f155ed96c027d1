package copysource

import (
	"errors"
	"path"
	"strings"

	"kiln/internal/buildcontext"
)

// ErrMissing says that Docker fails: what a source names, or what a link of
// that name leads to, is not in the context.
var ErrMissing = errors.New("not in the build context")

// Match is an entry that a source names.
type Match struct {
	// Name is the path by which it is named, relative to the context.
	Name string
	// Node is what is copied: what Name leads to through links.
	Node buildcontext.Node
}

// Docker returns what Docker copies for a source, whose variables are
// expanded: a path that leads to one entry, or a pattern that matches any
// number, in the order of the tree. Nothing in a directory that a pattern matches is
// a match of its own. The error is [ErrMissing], with the match that leads nowhere as
// the last one, or [path.ErrBadPattern].
func Docker(tree *buildcontext.Tree, source string) ([]Match, error) {
	literal, pattern := split(path.Join("/", source))
	if pattern == "" {
		return follow(tree, nil, relative(literal))
	}
	base, found := tree.Follow(literal)
	if !found || !base.Dir {
		return []Match{{Name: relative(literal)}}, ErrMissing
	}
	var matches []Match
	taken := "" // what is in the directory that matched last begins with it
	for _, node := range tree.Below(base.Path) {
		if taken != "" && strings.HasPrefix(node.Path, taken) {
			continue
		}
		rest := strings.TrimPrefix(node.Path, base.Path+"/")
		matched, err := match(pattern, rest)
		if err != nil {
			return nil, err
		}
		if !matched {
			continue
		}
		name := path.Join(relative(literal), rest)
		if node.Dir {
			taken = node.Path + "/"
		}
		if node.Link == "" {
			matches = append(matches, Match{Name: name, Node: node})
			continue
		}
		if matches, err = follow(tree, matches, name); err != nil {
			return matches, err
		}
	}
	return matches, nil
}

// follow adds the entry that name leads to.
func follow(tree *buildcontext.Tree, matches []Match, name string) ([]Match, error) {
	node, found := tree.Follow(name)
	matches = append(matches, Match{Name: name, Node: node})
	if !found {
		return matches, ErrMissing
	}
	return matches, nil
}

// relative makes a clean absolute path relative to the context.
func relative(name string) string {
	if name == "/" {
		return "."
	}
	return strings.TrimPrefix(name, "/")
}

// split cuts a clean path before its first part with a wildcard.
func split(name string) (literal, pattern string) {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if wildcard(part) {
			return path.Join("/", path.Join(parts[:i]...)), path.Join(parts[i:]...)
		}
	}
	return name, ""
}

// wildcard reports whether Docker takes a part of a path for a pattern: a
// backslash quotes what follows.
func wildcard(part string) bool {
	for i := 0; i < len(part); i++ {
		switch part[i] {
		case '*', '?', '[':
			return true
		case '\\':
			i++
		}
	}
	return false
}

// match is path.Match, and quick to say no: a class alone can match a slash.
func match(pattern, name string) (bool, error) {
	if !strings.Contains(pattern, "[") && strings.Count(pattern, "/") != strings.Count(name, "/") {
		return false, nil
	}
	return path.Match(pattern, name)
}
