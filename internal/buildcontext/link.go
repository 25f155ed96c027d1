package buildcontext

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxHops bounds a chain of symbolic links.
const maxHops = 8

// resolve follows name through symbolic links within the context. The chain
// begins with name and ends with the regular file that info describes. It is
// fs.ErrNotExist only when name itself is missing.
func (s *stager) resolve(name string) (chain []string, info fs.FileInfo, err error) {
	next := name
	for range maxHops {
		chain = append(chain, next)
		info, err = s.lstatBelow(next)
		switch {
		case errors.Is(err, fs.ErrNotExist) && len(chain) > 1:
			return nil, nil, inputError(name, "this symbolic link leads to %s, which does not exist", printable(next))
		case err != nil:
			return nil, nil, err
		case info.Mode().IsRegular():
			return chain, info, nil
		case info.Mode().Type() != fs.ModeSymlink:
			return nil, nil, inputError(next, "this must be a regular file")
		}
		target, err := os.Readlink(filepath.Join(s.root, next))
		if err != nil {
			return nil, nil, s.readError(next, err)
		}
		if next, err = linkTarget(next, target); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, inputError(name, "more than %d symbolic links follow each other", maxHops)
}

// lstatBelow is Lstat for a name none of whose directories may be a link.
func (s *stager) lstatBelow(name string) (fs.FileInfo, error) {
	for i, c := range name {
		if c != '/' {
			continue
		}
		info, err := os.Lstat(filepath.Join(s.root, name[:i]))
		if err == nil && info.Mode().Type() == fs.ModeSymlink {
			return nil, inputError(name[:i], "a symbolic link on the way to the Dockerfile or .dockerignore must lead to a file, not to a directory")
		}
	}
	info, err := os.Lstat(filepath.Join(s.root, name))
	if err != nil {
		return nil, s.readError(name, err)
	}
	return info, nil
}

// linkTarget gives the path that the link at name leads to. The target must
// be relative and stay in the context; .. is allowed at its start only, where
// it means the same to the file system as to the text.
func linkTarget(name, target string) (string, error) {
	if path.IsAbs(target) {
		return "", inputError(name, "this symbolic link leads to the absolute path %s, and the builder sees the context only; use a relative link", printable(target))
	}
	dir, rest := path.Dir(name), target
	for {
		part, after, more := strings.Cut(rest, "/")
		if part != "" && part != "." && part != ".." {
			break
		}
		switch {
		case part == ".." && dir == ".":
			return "", inputError(name, "this symbolic link leads to %s, outside of the build context", printable(target))
		case !more:
			return "", inputError(name, "this symbolic link leads to the directory %q, not to a file", target)
		case part == "..":
			dir = path.Dir(dir)
		}
		rest = after
	}
	if slices.Contains(strings.Split(rest, "/"), "..") {
		return "", inputError(name, "this symbolic link leads to %s; use a link with .. at its start only", printable(target))
	}
	return path.Join(dir, rest), nil
}
