package assemble

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"kiln/internal/treeindex"
)

// node is a path that the rest has made or changed.
type node struct {
	entry treeindex.Entry
	// source is the file of the context that it has the content of; inline is that of
	// a heredoc.
	source string
	inline []byte
	// member is where source is an archive: the number of its entry, from 1.
	member int
	// time is the modification time of what an archive has, zero for the canonical one.
	time time.Time
}

// owner is who gets what is made.
type owner struct{ uid, gid uint32 }

// root is a tree that changes.
type root struct {
	below *treeindex.Tree
	nodes map[string]*node
	// covered are directories of the tree below in whose place something else is.
	covered map[string]bool
	steps   int
	// names is what the paths of nodes take, in bytes; long is whether one of them is
	// longer than a file system takes.
	names int
	long  bool
	// libraries is how many nodes may have a part in how every program starts.
	libraries int
	// done is closed when nobody waits for it any more.
	done <-chan struct{}
}

const (
	// maxSteps bounds what one assembly looks at.
	maxSteps = 3_000_000
	// maxNodes bounds what the rest makes: a node takes about 250 bytes beside its path.
	maxNodes = 150_000
	// maxNames bounds the paths of all nodes, in bytes.
	maxNames = 24 << 20
	// maxPath bounds one path, which builders and runtimes put behind one of their own
	// of a few hundred bytes, and maxComponent a name in it.
	maxPath      = 4095 - 255
	maxComponent = 255
)

func newRoot(below *treeindex.Tree, done <-chan struct{}) *root {
	return &root{below: below, nodes: map[string]*node{}, covered: map[string]bool{}, done: done}
}

// find returns the entry of a clean path relative to the root.
func (r *root) find(name string) (treeindex.Entry, bool) {
	r.steps += 1 + len(name)/256
	if n := r.nodes[name]; n != nil {
		return n.entry, true
	}
	if r.hidden(name) {
		return treeindex.Entry{}, false
	}
	return r.below.Find(name)
}

// hidden reports whether a path of the tree below is no longer there.
func (r *root) hidden(name string) bool {
	if len(r.covered) == 0 {
		return false
	}
	for ; ; name = parent(name) {
		if r.steps++; r.covered[name] {
			return true
		}
		if name == "" {
			return false
		}
	}
}

// parent is the directory of a path; the root's is the root.
func parent(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

// relative makes any path clean and relative to the root.
func relative(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// follow returns what a path leads to.
func (r *root) follow(name string) (string, error) { return treeindex.Follow(r.find, name) }

// reach returns what a path without a way up leads to for a program. Where a link on it
// leads up from what may be a link again, that is not what follow returns, and an error.
func (r *root) reach(name string) (string, error) { return r.reachBelow("", name) }

// reachBelow is reach for a program whose root is a directory, which no link leads to.
func (r *root) reachBelow(top, name string) (string, error) {
	bent := false
	at, err := treeindex.Follow(func(name string) (treeindex.Entry, bool) {
		e, found := r.find(relative(top + "/" + name))
		bent = bent || e.Kind == treeindex.Link && bends(e.Target)
		return e, found
	}, name)
	if err == nil && bent {
		err = errBent
	}
	return at, err
}

// led reports whether a link that the rest has made is on the way of a path.
func (r *root) led(name string) (led bool) {
	_, _ = treeindex.Follow(func(name string) (treeindex.Entry, bool) {
		e, found := r.find(name)
		led = led || e.Kind == treeindex.Link && r.nodes[name] != nil
		return e, found
	}, name)
	return led
}

// bends reports whether the target of a link leads up again, or wants a directory in its
// end.
func bends(target string) bool {
	return strings.HasSuffix(target, "/") || strings.HasSuffix(target, "/.") || climbs(target)
}

// climbs reports whether a path leads up from anywhere but its beginning.
func climbs(name string) bool {
	for strings.HasPrefix(name, "../") {
		name = name[len("../"):]
	}
	return name != ".." && slices.Contains(strings.Split(name, "/"), "..")
}

var (
	errBent  = errors.New("a link leads somewhere on a way that programs may go in another way")
	errSteps = errors.New("there is too much to look at")
	errNodes = errors.New("it makes too many files")
	errNames = errors.New("it makes too many files with long names")
	errDone  = errors.New("nobody waits for it any more")
	errLong  = errors.New("a name is too long")
)

// within reports whether the bounds hold, and somebody waits.
func (r *root) within() error {
	select {
	case <-r.done:
		return errDone
	default:
	}
	switch {
	case r.steps > maxSteps:
		return errSteps
	case len(r.nodes) > maxNodes:
		return errNodes
	case r.names > maxNames:
		return errNames
	case r.long:
		return errLong
	}
	return nil
}

// put sets what is at a path, whose directory is there.
func (r *root) put(name string, n *node) {
	n.entry.Path = name
	if old := r.nodes[name]; old == nil {
		r.names += len(name)
		r.long = r.long || len(name) > maxPath || len(path.Base(name)) > maxComponent
	} else if old.library() {
		r.libraries--
	}
	if n.library() {
		r.libraries++
	}
	r.nodes[name] = n
}

// clear removes a directory with what is in it, in whose place something else is put.
func (r *root) clear(name string) error {
	if _, found := r.below.Find(name); found {
		r.covered[name] = true
	}
	r.libraries++ // what was in it is not looked at
	r.steps += len(r.nodes)
	for other := range r.nodes {
		if strings.HasPrefix(other, name+"/") {
			r.drop(other)
		}
	}
	return r.within()
}

// drop forgets a node, whose name counts on.
func (r *root) drop(name string) {
	if r.nodes[name].library() {
		r.libraries--
	}
	delete(r.nodes, name)
}

// mkdirAll makes a directory and those that lead to it, as mkdir -p does: what is there
// stays as it is, and what is made below a directory with setgid gets its group and
// setgid. The path leads through no link. By is nil for nobody in particular.
func (r *root) mkdirAll(name string, mode uint32, by *owner) error {
	if err := r.within(); err != nil {
		return err
	}
	if e, found := r.find(name); found {
		if e.Kind != treeindex.Dir {
			return fmt.Errorf("/%s is not a directory", name)
		}
		return nil
	}
	if err := r.mkdirAll(parent(name), mode, by); err != nil {
		return err
	}
	r.put(name, &node{entry: r.newDir(name, mode, by)})
	return nil
}

// newDir is a directory as mkdir(2) makes it, given to an owner.
func (r *root) newDir(name string, mode uint32, by *owner) treeindex.Entry {
	e := treeindex.Entry{Kind: treeindex.Dir, Mode: mode & 0o777}
	if above, _ := r.find(parent(name)); above.Mode&setgid != 0 {
		e.Mode, e.GID = e.Mode|setgid, above.GID
	}
	if by != nil {
		e.UID, e.GID = by.uid, by.gid
	}
	return e
}

// setgid is the bit.
const setgid = 0o2000

// lay puts what another tree, made of nothing, has on this one, as layers are put on
// each other: a directory keeps what is in it, all else takes the place of what is
// there.
func (r *root) lay(over *root) error {
	names := sorted(over.nodes)
	replaced := map[string]bool{}
	for _, name := range names {
		old, found := r.find(name)
		replaced[name] = found && old.Kind == treeindex.Dir && over.nodes[name].entry.Kind != treeindex.Dir
		if found && old.Kind != over.nodes[name].entry.Kind {
			r.libraries++ // what was there, or led there, is not any more
		}
	}
	for name := range r.nodes {
		if err := r.within(); err != nil {
			return err
		}
		for dir := name; dir != ""; {
			r.steps++
			if dir = parent(dir); replaced[dir] {
				r.drop(name)
				break
			}
		}
	}
	for _, name := range names {
		if name == "" {
			continue // no layer has the root for having it
		}
		if replaced[name] {
			r.covered[name] = true
		}
		r.put(name, over.nodes[name])
	}
	return r.within()
}

// sorted returns the paths of nodes, each directory before what is in it.
func sorted(nodes map[string]*node) []string {
	return slices.SortedFunc(maps.Keys(nodes), treeindex.Compare)
}
