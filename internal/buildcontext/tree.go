package buildcontext

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// maxTree bounds what a [Tree] takes in memory, in bytes.
const maxTree = 16 << 20

// perNode is what a node takes besides its names, about.
const perNode = 64

// maxLinks bounds the symbolic links on the way to one name, as BuildKit does.
const maxLinks = 255

// Node is an entry of a context.
type Node struct {
	// Path is clean and relative; "." is the context's own directory.
	Path string
	// Dir is whether it is a directory.
	Dir bool
	// Link is the target of a symbolic link, else empty.
	Link string
	// Mode is the permission bits, with setuid, setgid and sticky.
	Mode int64
}

// Tree lists the entries of a context, without their content. It does not
// change and may be used by several goroutines.
type Tree struct {
	// nodes are in the order of the archive.
	nodes []Node
	size  int
}

// NewTree returns the tree of nodes in any order. Each directory must be among
// them.
func NewTree(nodes ...Node) *Tree {
	t := &Tree{nodes: slices.Clone(nodes)}
	slices.SortFunc(t.nodes, func(a, b Node) int { return compareNames(a.Path, b.Path) })
	return t
}

// CanonicalTree is [Canonical], and lists what it has read. The tree is nil
// when it would take more than 16 MiB, which a hundred thousand names of a
// hundred bytes do not.
func CanonicalTree(dst io.Writer, src io.Reader, l Limits) (Summary, *Tree, error) {
	t := &Tree{}
	sum, err := write(dst, src, l, t)
	if err != nil || t.size > maxTree {
		return sum, nil, err
	}
	return sum, t, nil
}

// ReadTree lists the entries of an archive that [Canonical] wrote, as
// [CanonicalTree] does. The tree is nil where that gives none.
func ReadTree(src io.Reader) (*Tree, error) {
	gz, err := gzip.NewReader(src)
	if err != nil {
		return nil, fmt.Errorf("read context: %w", err)
	}
	t := &Tree{}
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read context: %w", err)
		}
		if h.Name = strings.TrimPrefix(h.Name, Dir+"/"); h.Name == "" {
			continue // the context's own directory
		}
		e, err := readEntry(h)
		if err != nil {
			return nil, err
		}
		t.add(e)
	}
	if t.size > maxTree {
		return nil, nil
	}
	return t, nil
}

// add notes an entry, which comes after all that were added. Beyond the bound
// there is no use for any.
func (t *Tree) add(e entry) {
	if t == nil {
		return
	}
	if t.size += len(e.path) + len(e.link) + perNode; t.size > maxTree {
		t.nodes = nil
		return
	}
	t.nodes = append(t.nodes, Node{Path: e.path, Dir: e.kind == kindDir, Link: e.link, Mode: e.mode})
}

// top is the context's own directory, as every archive has it.
func top() Node { return Node{Path: ".", Dir: true, Mode: 0o755} }

// Len is the number of entries.
func (t *Tree) Len() int { return len(t.nodes) }

// Find returns the entry of a clean, relative path. Links are not followed.
func (t *Tree) Find(name string) (Node, bool) {
	if name == "." {
		return top(), true
	}
	if at, found := t.search(name); found {
		return t.nodes[at], true
	}
	return Node{}, false
}

func (t *Tree) search(name string) (int, bool) {
	return slices.BinarySearchFunc(t.nodes, name, func(n Node, name string) int { return compareNames(n.Path, name) })
}

// Below returns the entries in a directory and in those below it.
func (t *Tree) Below(directory string) []Node {
	if directory == "." {
		return t.nodes
	}
	from, found := t.search(directory)
	if !found {
		return nil
	}
	below := t.nodes[from+1:]
	to, _ := slices.BinarySearchFunc(below, directory+"/", func(n Node, prefix string) int {
		if strings.HasPrefix(n.Path, prefix) {
			return -1
		}
		return 1
	})
	return below[:to]
}

// Follow returns the entry that a name leads to through symbolic links, the
// last one too. Like BuildKit it takes the context for the root: nothing leads
// out of it, and an absolute target begins there. The name is relative or
// absolute in that sense.
func (t *Tree) Follow(name string) (Node, bool) {
	at, rest := top(), name
	for links := 0; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if part == "" || part == "." {
			continue
		}
		if !at.Dir {
			return Node{}, false
		}
		if part == ".." {
			at, _ = t.Find(path.Dir(at.Path))
			continue
		}
		next, found := t.Find(path.Join(at.Path, part))
		if !found {
			return Node{}, false
		}
		if next.Link == "" {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return Node{}, false
		}
		// BuildKit shortens a relative target as a text before it looks at it.
		target := next.Link
		if !path.IsAbs(target) {
			target = path.Join("/", at.Path, target)
		}
		at, rest = top(), target+"/"+rest
	}
	return at, true
}
