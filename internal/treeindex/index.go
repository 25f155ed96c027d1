package treeindex

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"
)

// Kind is the type of an entry.
type Kind byte

// The kinds. The last three are those of an index alone: a tree has none.
const (
	Dir     Kind = 'd'
	File    Kind = 'f'
	Link    Kind = 'l'
	Special Kind = 's' // a pipe, a device
	Hard    Kind = 'h'
	Gone    Kind = 'w' // a whiteout
	Hidden  Kind = 'o' // a directory without an entry, whose content below is hidden
)

// Entry is one path. In an index it is what one layer says of it.
type Entry struct {
	// Path is clean and relative to the root; the root's own is empty.
	Path string
	Kind Kind
	// Opaque is whether what lower layers have in a directory is hidden, Attributes
	// whether it has extended attributes.
	Opaque, Attributes bool
	// Mode is the permission bits with setuid, setgid and sticky.
	Mode     uint32
	UID, GID uint32
	// Target is that of a Link as it stands, and of a Hard as a path.
	Target string
}

// Odd says why nothing is known of a layer, or of an image.
type Odd struct {
	// Path is where, empty for none.
	Path   string
	Reason string
}

// Error is one line.
func (o *Odd) Error() string {
	if o.Path == "" {
		return o.Reason
	}
	return fmt.Sprintf("%.200q: %s", o.Path, o.Reason)
}

func odd(at, format string, args ...any) *Odd {
	return &Odd{Path: at, Reason: fmt.Sprintf(format, args...)}
}

// Bounds of one layer, and of the tree of an image.
const (
	// MaxEntries is the most entries.
	MaxEntries = 200_000
	// MaxNames is the most that paths and targets take, in bytes.
	MaxNames = 24 << 20
	// MaxBytes is the longest layer, uncompressed.
	MaxBytes = 32 << 30
	// MaxAccounts is the longest /etc/passwd and /etc/group that is kept.
	MaxAccounts = 256 << 10

	maxPath      = 4095
	maxComponent = 255
	maxDepth     = 256
	maxID        = math.MaxUint32 - 1
)

// accounts are the files whose content is kept.
func accounts() []string { return []string{"etc/group", "etc/passwd"} }

// Index is what one layer says. Nothing changes it.
type Index struct {
	// Layer names the layer, by its digest.
	Layer string
	// Entries are in the order of [Compare], each path once.
	Entries []Entry
	// Accounts has the content of /etc/passwd and /etc/group where the layer has
	// them as files that are not too long.
	Accounts map[string][]byte
}

// entrySize is about what an entry takes beside its names, here and in a tree.
const entrySize = 100

// Size is about what an index takes in memory, in bytes, with its share of a tree.
func (x *Index) Size() int {
	size := entrySize * len(x.Entries)
	for _, e := range x.Entries {
		size += len(e.Path) + len(e.Target)
	}
	for _, content := range x.Accounts {
		size += len(content)
	}
	return size
}

// Of is the same index, as that of another layer: one whose digest was not known when it
// was read.
func (x *Index) Of(layer string) *Index {
	return &Index{Layer: layer, Entries: x.Entries, Accounts: x.Accounts}
}

// Compare orders paths component by component, bytes as unsigned numbers: a directory
// stands right before what is in it.
func Compare(a, b string) int {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == b[i]:
			continue
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}

// Read makes the index of a layer, whose tar it reads to its end. An error is of type
// [*Odd], or comes from r. Memory grows with the names, not with the content.
func Read(layer string, r io.Reader) (*Index, error) {
	return ReadWithin(layer, r, func(int) bool { return true })
}

// ReadWithin is [Read] within memory that others use too: take is asked for as many
// bytes, again and again, and what it refuses is [*Odd]. They are about what is in use
// until the index and all that is made of it are let go of.
func ReadWithin(layer string, r io.Reader, take func(bytes int) bool) (*Index, error) {
	in := &counted{r: r, left: MaxBytes}
	b := Build(take)
	tr := tar.NewReader(in)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, in.fault(err)
		}
		if err := b.Add(h, tr); err != nil {
			return nil, in.fault(err)
		}
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return nil, in.fault(err)
	}
	return b.Finish(layer)
}

// counted reads no more than a bound, and remembers why reading ended.
type counted struct {
	r    io.Reader
	left int64
	err  error
}

// Read implements [io.Reader].
func (c *counted) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, odd("", "the layer is longer than %d bytes", int64(MaxBytes))
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// fault tells whose an error is.
func (c *counted) fault(err error) error {
	if c.err != nil {
		return fmt.Errorf("read layer: %w", c.err)
	}
	if o, ok := errors.AsType[*Odd](err); ok {
		return o
	}
	return odd("", "the layer is no well-formed archive: %v", err)
}

// Builder makes the index of a layer whose archive somebody else reads: of its entries, in
// their order, each added once.
type Builder struct {
	index *Index
	take  func(bytes int) bool
	names int
	// order is where an entry stands in the layer.
	order []int
}

// Build begins the index of a layer, within memory that is taken as by [ReadWithin].
func Build(take func(bytes int) bool) *Builder {
	return &Builder{index: &Index{Accounts: map[string][]byte{}}, take: take}
}

// Add adds one entry of the layer. Of its content it reads what is kept, if any. After an
// error there is no index.
func (b *Builder) Add(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := clean(h.Name)
	if err != nil {
		return err
	}
	e := Entry{Path: name, Mode: uint32(h.Mode & 0o7777)}
	if err := e.owner(h); err != nil {
		return err
	}
	if dir, base := path.Split(name); strings.HasPrefix(base, whiteout) {
		if e, err = whiteoutOf(strings.TrimSuffix(dir, "/"), base); err != nil {
			return err
		}
	} else if err := e.typed(h); err != nil {
		return err
	}
	b.names += len(e.Path) + len(e.Target)
	if len(b.index.Entries) >= MaxEntries || b.names > MaxNames {
		return odd("", "the layer has more than %d entries, or names of more than %d bytes", MaxEntries, MaxNames)
	}
	if !b.take(entryMemory + 3*(len(e.Path)+len(e.Target))) {
		return errMemory()
	}
	if slices.Contains(accounts(), e.Path) {
		delete(b.index.Accounts, e.Path)
		if e.Kind == File && h.Size <= MaxAccounts {
			if !b.take(3 * int(h.Size)) {
				return errMemory()
			}
			if b.index.Accounts[e.Path], err = io.ReadAll(content); err != nil {
				return err
			}
		}
	}
	b.index.Entries = append(b.index.Entries, e)
	return nil
}

// entryMemory is about what an entry takes beside its names, which are in it, in the
// encoded index and in what that is packed into: the list of them grows, and is sorted.
const entryMemory = 192

func errMemory() *Odd { return odd("", "there is no memory for more of the layer") }

// Names of whiteouts.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

func whiteoutOf(dir, base string) (Entry, error) {
	switch {
	case base == opaque:
		return Entry{Path: dir, Kind: Hidden}, nil
	case strings.HasPrefix(base, ".wh..wh."), base == whiteout, base == ".wh..", base == ".wh...":
		return Entry{}, odd(path.Join(dir, base), "a whiteout of a kind that is not known")
	}
	return Entry{Path: path.Join(dir, strings.TrimPrefix(base, whiteout)), Kind: Gone}, nil
}

// owner sets the owner.
func (e *Entry) owner(h *tar.Header) error {
	if h.Uid < 0 || h.Gid < 0 || h.Uid > maxID || h.Gid > maxID {
		return odd(e.Path, "the owner %d:%d", h.Uid, h.Gid)
	}
	e.UID, e.GID = uint32(h.Uid), uint32(h.Gid)
	return nil
}

// typed sets what depends on the type.
func (e *Entry) typed(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		e.Kind = File
	case tar.TypeDir:
		e.Kind = Dir
		for record := range h.PAXRecords {
			e.Attributes = e.Attributes || strings.HasPrefix(record, "SCHILY.xattr.") || strings.HasPrefix(record, "LIBARCHIVE.xattr.")
		}
	case tar.TypeSymlink:
		if e.Kind, e.Target = Link, h.Linkname; e.Target == "" || len(e.Target) > maxPath || strings.IndexByte(e.Target, 0) >= 0 {
			return odd(e.Path, "a link without a target that could be one")
		}
	case tar.TypeLink:
		target, err := clean(h.Linkname)
		if err != nil {
			return err
		}
		e.Kind, e.Target = Hard, target
	case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
		e.Kind = Special
	default:
		return odd(e.Path, "an entry of the type %q", h.Typeflag)
	}
	if e.Path == "" && e.Kind != Dir {
		return odd("", "the root is no directory")
	}
	return nil
}

// clean makes a path of a name in a layer.
func clean(name string) (string, error) {
	if reason := unfit(name); reason != "" {
		return "", odd(name, "%s", reason)
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}

// unfit says why a name is none, or nothing.
func unfit(name string) string {
	switch {
	case len(name) > maxPath:
		return "a name of more than 4095 bytes"
	case strings.IndexByte(name, 0) >= 0:
		return "a name with a NUL byte"
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "a name with .."
		case len(part) > maxComponent:
			return "a part of a name of more than 255 bytes"
		}
		if depth++; depth > maxDepth {
			return "a path of more than 256 parts"
		}
	}
	return ""
}

// Finish returns the index, as that of a layer: it sorts the entries and refuses those that
// do not go together.
func (b *Builder) Finish(layer string) (*Index, error) {
	b.index.Layer = layer
	all := b.index.Entries
	b.order = make([]int, len(all))
	for i := range b.order {
		b.order[i] = i
	}
	slices.SortStableFunc(b.order, func(i, j int) int { return Compare(all[i].Path, all[j].Path) })
	merged := make([]Entry, 0, len(all))
	kept := b.order[:0]
	twice := map[string]bool{}
	for _, at := range b.order {
		last := len(merged) - 1
		if last < 0 || merged[last].Path != all[at].Path {
			merged, kept = append(merged, all[at]), append(kept, at)
			continue
		}
		if err := merged[last].again(all[at]); err != nil {
			return nil, err
		}
		kept[last], twice[all[at].Path] = at, true
	}
	b.index.Entries, b.order = merged, kept
	return b.index, b.hard(twice)
}

// again is what becomes of an entry that comes once more.
func (e *Entry) again(next Entry) error {
	switch {
	case e.Kind == next.Kind && (e.Kind == Dir || e.Kind == File):
		next.Opaque = e.Opaque || next.Opaque
		*e = next
	case e.Kind == Dir && next.Kind == Hidden:
		e.Opaque = true
	case e.Kind == Hidden && next.Kind == Dir:
		next.Opaque = true
		*e = next
	case e.Kind == Hidden && next.Kind == Hidden, e.Kind == Gone && next.Kind == Gone:
	default:
		return odd(e.Path, "a layer says two things of one name")
	}
	return nil
}

// hard looks at the hard links to what the same layer has: it has to come before them,
// and once.
func (b *Builder) hard(twice map[string]bool) error {
	for i, e := range b.index.Entries {
		if e.Kind != Hard {
			continue
		}
		at, found := search(b.index.Entries, e.Target)
		if found && (b.order[at] > b.order[i] || twice[e.Target] || at == i) {
			return odd(e.Path, "a hard link to what comes later")
		}
	}
	return nil
}

// search finds a path in sorted entries.
func search(entries []Entry, path string) (int, bool) {
	return slices.BinarySearchFunc(entries, path, func(e Entry, path string) int { return Compare(e.Path, path) })
}
