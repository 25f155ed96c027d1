package treeindex

import (
	"path"
	"strings"
)

// maxLinks bounds the links that are followed, as BuildKit does.
const maxLinks = 255

// Follow returns the path that a path leads to through links, the last one too, as
// BuildKit finds the target of a COPY (RootPath in containerd/continuity/fs): nothing
// leads out of the root, a target that is not there is one all the same. The path may
// begin with a slash; the result is clean and relative. Find is [Tree.Find], or the
// like of it.
//
// The error, of type [*Odd], is for what leads nowhere, and for a chain of links to
// directories, which BuildKit takes in pieces that depend on each other.
func Follow(find func(path string) (Entry, bool), name string) (string, error) {
	at := relative(name)
	for links := 0; ; {
		next, hops, err := step(find, at)
		if err != nil {
			return "", err
		}
		if hops == 0 {
			return next, nil
		}
		if links += hops; links > maxLinks {
			return "", odd(name, "too many links")
		}
		at = next
	}
}

// relative makes any path clean and relative to the root.
func relative(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// step replaces each part of a path that is a link, once.
func step(find func(path string) (Entry, bool), name string) (next string, hops int, err error) {
	for part := range strings.SplitSeq(name, "/") {
		if next, err = enter(find, next, part, &hops); err != nil {
			return "", 0, err
		}
	}
	return next, hops, nil
}

// enter goes from a directory to what is in it.
func enter(find func(path string) (Entry, bool), dir, part string, hops *int) (string, error) {
	at := relative(dir + "/" + part)
	if part == "" {
		return at, nil
	}
	if err := plain(find, dir); err != nil {
		return "", err
	}
	e, found := find(at)
	if !found || e.Kind != Link {
		return at, nil
	}
	*hops++
	if path.IsAbs(e.Target) {
		return relative(e.Target), nil
	}
	return relative(dir + "/" + e.Target), nil
}

// plain refuses a directory on whose way something is that is none.
func plain(find func(path string) (Entry, bool), dir string) error {
	for i := 0; i <= len(dir); i++ {
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		e, found := find(dir[:i])
		if !found {
			return nil
		}
		if e.Kind != Dir {
			return odd(dir, "a link or file on the way")
		}
	}
	return nil
}
