package treeindex

import (
	"context"
	"path"
	"slices"
	"strings"
)

// Tree is what a container of an image finds. Nothing changes it.
type Tree struct {
	entries  []Entry
	accounts map[string][]byte
}

// Empty is the tree of an image without layers.
func Empty() *Tree {
	return &Tree{entries: []Entry{root()}, accounts: map[string][]byte{}}
}

// root is the root where no layer has it, implied is a directory that no layer has.
func root() Entry { return implied("") }

func implied(path string) Entry { return Entry{Path: path, Kind: Dir, Mode: 0o755} }

// Overlay puts the layers of an image on each other, the lowest first. An error is of
// type [*Odd], or the context's.
func Overlay(ctx context.Context, layers ...*Index) (*Tree, error) {
	t := Empty()
	var spare []Entry // what the tree before the last was written to: layers may be many
	for _, layer := range layers {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		m := merge{lower: t.entries, out: slices.Grow(spare[:0], len(t.entries)+len(layer.Entries))}
		if err := m.layer(layer); err != nil {
			return nil, err
		}
		spare, t.entries = t.entries, m.out
		t.account(layer)
	}
	return t, nil
}

// account takes over the files of accounts that a layer has.
func (t *Tree) account(layer *Index) {
	for _, name := range accounts() {
		if _, found := search(layer.Entries, name); !found {
			continue
		}
		delete(t.accounts, name)
		if content, found := layer.Accounts[name]; found {
			t.accounts[name] = content
		}
	}
}

// merge puts one layer on a tree, both sorted.
type merge struct {
	lower []Entry
	out   []Entry
	// cover is a path of which the lower tree's entries are dropped, those below it
	// and, with self, its own; covered is whether there is one.
	cover         string
	covered, self bool
}

// within reports whether a path is a directory or something in it.
func within(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// layer puts all entries of a layer.
func (m *merge) layer(layer *Index) error {
	hard := false
	for _, e := range layer.Entries {
		if err := m.put(e); err != nil {
			return err
		}
		hard = hard || e.Kind == Hard
	}
	m.until("", true)
	if len(m.out) > MaxEntries {
		return odd("", "the image has more than %d entries", MaxEntries)
	}
	if !hard { // the lower tree has none
		return nil
	}
	return link(m.out)
}

// until takes over what the lower tree has before a path, or all. What the cover drops
// of that comes first: it is in one piece.
func (m *merge) until(path string, all bool) {
	end := len(m.lower)
	if !all {
		end, _ = search(m.lower, path)
	}
	from := 0
	for from < end && m.drops(m.lower[from].Path) {
		from++
	}
	m.out = append(m.out, m.lower[from:end]...)
	m.lower = m.lower[end:]
}

// drops reports whether the cover drops the lower tree's entry of a path.
func (m *merge) drops(path string) bool {
	return m.covered && within(path, m.cover) && (m.self || path != m.cover)
}

// below returns the lower tree's entry of a path, and takes it away.
func (m *merge) below(path string) (Entry, bool) {
	if len(m.lower) == 0 || m.lower[0].Path != path {
		return Entry{}, false
	}
	e := m.lower[0]
	m.lower = m.lower[1:]
	if m.drops(path) {
		return Entry{}, false
	}
	return e, true
}

// hide drops what the lower tree has from here on in a path. A cover in which it lies
// stays.
func (m *merge) hide(path string, self bool) {
	if !m.covered || !within(path, m.cover) {
		m.cover, m.covered, m.self = path, true, self
	}
}

// put puts one entry of the layer.
func (m *merge) put(e Entry) error {
	m.until(e.Path, false)
	if m.covered && m.self && within(e.Path, m.cover) {
		return odd(e.Path, "an entry below a whiteout of the same layer")
	}
	if err := m.parents(e); err != nil {
		return err
	}
	lower, found := m.below(e.Path)
	switch {
	case e.Kind == Gone:
		m.hide(e.Path, true)
		return nil
	case e.Kind == Hidden:
		if found && lower.Kind != Dir {
			return odd(e.Path, "what is no directory is opaque")
		}
		if !found {
			lower = implied(e.Path)
		}
		m.hide(e.Path, false)
		m.out = append(m.out, lower)
		return nil
	case e.Kind != Dir || e.Opaque:
		m.hide(e.Path, false)
	}
	e.Opaque = false
	m.out = append(m.out, e)
	return nil
}

// parents adds the directories that lead to an entry and that neither the layer nor the
// tree has.
func (m *merge) parents(e Entry) error {
	if e.Path == "" {
		return nil
	}
	var missing []string
	for dir := parent(e.Path); ; dir = parent(dir) {
		at, found := search(m.out, dir)
		if found {
			if m.out[at].Kind != Dir {
				return odd(e.Path, "an entry below what is no directory")
			}
			break
		}
		if missing = append(missing, dir); dir == "" {
			break
		}
	}
	if e.Kind == Gone {
		return nil
	}
	for _, dir := range slices.Backward(missing) {
		m.out = append(m.out, implied(dir))
	}
	return nil
}

// parent is the directory of a path that is not the root.
func parent(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

// link makes hard links what they lead to.
func link(entries []Entry) error {
	for i := range entries {
		at := i
		for hops := 0; entries[at].Kind == Hard; hops++ {
			next, found := search(entries, entries[at].Target)
			if !found || hops > maxDepth || entries[next].Kind == Dir {
				return odd(entries[i].Path, "a hard link to what is not there")
			}
			at = next
		}
		if at != i {
			name := entries[i].Path
			entries[i] = entries[at]
			entries[i].Path = name
		}
	}
	return nil
}

// Len is the number of entries.
func (t *Tree) Len() int { return len(t.entries) }

// Find returns the entry of a path, clean and relative to the root, whose own is
// empty. Links are not followed.
func (t *Tree) Find(path string) (Entry, bool) {
	at, found := search(t.entries, path)
	if !found {
		return Entry{}, false
	}
	return t.entries[at], true
}

// Account returns the content of /etc/passwd or /etc/group, by the path without the
// first slash, where that is known.
func (t *Tree) Account(path string) ([]byte, bool) {
	content, found := t.accounts[path]
	if e, there := t.Find(path); !there || e.Kind != File {
		return nil, false
	}
	return content, found
}
