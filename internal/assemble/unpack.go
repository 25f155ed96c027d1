package assemble

import (
	"archive/tar"
	"errors"
	"path"
	"strings"

	"kiln/internal/tarball"
	"kiln/internal/treeindex"
)

// unpacking unpacks one archive as BuildKit does (unpack in its solver's file operations:
// Unpack of moby/go-archive, with the target as the root of everything).
type unpacking struct {
	root *root
	// top is the directory that the archive is unpacked in, source the archive.
	top, source string
	// by owns everything where the ADD names an owner.
	by *owner
	// last is the directory of an entry before, and at where that is.
	last, at string
	// dirs are the names of the archive's directories, whose times Docker sets in the end:
	// it fails where one is not there any more, which is so where replaced is set alone.
	dirs     []string
	replaced bool
}

// errUnpack says that Docker could not unpack an archive, or that it is not certain
// where.
var errUnpack = errors.New("what the archive unpacks is not certain")

// unpack unpacks an archive of the context. Patterns and mode do not count.
func (p *copier) unpack(source string, entries []tarball.Entry) error {
	top, err := p.root.follow(p.dest)
	if err != nil {
		return err
	}
	if err := p.root.mkdirAll(top, 0o755, p.by); err != nil {
		return err
	}
	u := &unpacking{root: p.root, top: top, source: source, by: p.by, last: ".", at: top}
	for i, e := range entries {
		if err := u.entry(i+1, e); err != nil {
			return err
		}
	}
	if !u.replaced {
		return nil
	}
	for _, name := range u.dirs {
		if err := u.still(name); err != nil {
			return err
		}
	}
	return nil
}

// entry unpacks one entry. The target itself, which is there, is not changed.
func (u *unpacking) entry(member int, e tarball.Entry) error {
	if e.Name == "." {
		return u.root.within()
	}
	if len(e.Name) > maxPath {
		return errLong
	}
	dir, err := u.dir(path.Dir(e.Name))
	if err != nil {
		return err
	}
	at := relative(dir + "/" + path.Base(e.Name))
	n := u.node(member, e)
	there, found := u.root.find(at)
	switch isDir := there.Kind == treeindex.Dir; {
	case found && isDir && e.Kind == tar.TypeDir:
		n.entry.Attributes, n.entry.Opaque = there.Attributes, there.Opaque
	case found:
		u.last, u.replaced = "", true // it may be on the way to that directory
		if there.Kind != n.entry.Kind {
			u.root.libraries++ // what was there, or led there, is not any more
		}
		if there.Kind != treeindex.File && dir != relative(u.top+"/"+path.Dir(e.Name)) {
			return errUnpack // it may be on the way to itself
		}
		if isDir {
			err = u.root.clear(at)
		}
	}
	if e.Kind == tar.TypeDir {
		u.dirs = append(u.dirs, e.Name)
	}
	u.root.put(at, n)
	return errors.Join(err, u.root.within())
}

// node is what an entry becomes.
func (u *unpacking) node(member int, e tarball.Entry) *node {
	n := &node{entry: treeindex.Entry{Mode: e.Mode, UID: e.UID, GID: e.GID}, time: e.Time}
	if u.by != nil {
		n.entry.UID, n.entry.GID = u.by.uid, u.by.gid
	}
	switch e.Kind {
	case tar.TypeDir:
		n.entry.Kind = treeindex.Dir
	case tar.TypeSymlink:
		n.entry.Kind, n.entry.Mode, n.entry.Target = treeindex.Link, 0o777, e.Target
	case tar.TypeFifo:
		n.entry.Kind = treeindex.Special
	default:
		n.entry.Kind, n.source, n.member = treeindex.File, u.source, member
	}
	return n
}

// dir returns where a directory of the archive is, and makes it with those above it if it
// is not there: as root's, whoever owns the rest. Links on the way lead to what is below
// the target.
func (u *unpacking) dir(name string) (string, error) {
	switch name {
	case u.last:
		return u.at, nil
	case ".":
		return u.top, nil
	}
	above, err := u.dir(path.Dir(name))
	if err != nil {
		return "", err
	}
	at, found, err := u.enter(above, path.Base(name))
	if err == nil && !found {
		err = u.root.mkdirAll(at, 0o755, &owner{})
	}
	u.last, u.at = name, at
	return at, err
}

// enter returns where a directory in another one is, through a link too, and whether it
// is there.
func (u *unpacking) enter(above, name string) (at string, found bool, err error) {
	at = relative(above + "/" + name)
	e, found := u.root.find(at)
	if found && e.Kind == treeindex.Link {
		inside, err := u.root.reachBelow(u.top, strings.TrimPrefix(at, u.top))
		if err != nil {
			return "", false, err
		}
		at = relative(u.top + "/" + inside)
		if e, found = u.root.find(at); !found {
			return "", false, errUnpack
		}
	}
	if found && e.Kind != treeindex.Dir {
		return "", false, errUnpack
	}
	return at, found, u.root.within()
}

// still returns an error unless a directory is there, or a link to one.
func (u *unpacking) still(name string) error {
	at := u.top
	for part := range strings.SplitSeq(name, "/") {
		next, found, err := u.enter(at, part)
		if err != nil {
			return err
		}
		if !found {
			return errUnpack
		}
		at = next
	}
	return nil
}
