package assemble

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"kiln/internal/buildcontext"
	"kiln/internal/split"
	"kiln/internal/tarball"
	"kiln/internal/treeindex"
)

// Layer is a layer that was written.
type Layer struct {
	// Digest and Size are those of the compressed layer, DiffID is the digest of what
	// is compressed: "sha256:" and 64 digits.
	Digest, DiffID string
	Size           int64
}

// maxTurns bounds how often the context is read for a layer: as often as one of its files,
// or of the members of its archives, goes to different places. An archive that is copied
// too, as a file, takes turns of its own.
const maxTurns = 16

// written lists what the layer has: what the rest has made and changed, with the
// directories that lead there, since some that unpack layers make those anew.
func (r *root) written() ([]*node, error) {
	if err := r.within(); err != nil {
		return nil, err
	}
	all := map[string]*node{}
	for name, n := range r.nodes {
		if err := r.within(); err != nil {
			return nil, err
		}
		all[name] = n
		for dir := name; dir != ""; {
			dir = parent(dir)
			if all[dir] != nil || r.nodes[dir] != nil || dir == "" {
				break // its own way up is, or will be, gone
			}
			e, found := r.find(dir)
			if !found || e.Kind != treeindex.Dir {
				return nil, fmt.Errorf("/%s is no directory any more", dir)
			}
			all[dir] = &node{entry: e}
		}
	}
	var written []*node
	times := map[content]int{}
	for _, name := range sorted(all) {
		n := all[name]
		switch {
		case n.entry.Attributes:
			return nil, fmt.Errorf("/%s has extended attributes", name)
		case n.source != "" && times[n.content()] == maxTurns:
			return nil, fmt.Errorf("%s goes to more than %d places", n.source, maxTurns)
		case n.entry.Kind == treeindex.Dir && r.covered[name]:
			return nil, fmt.Errorf("/%s was a directory, something else, and a directory again", name)
		}
		times[n.content()]++
		written = append(written, n)
	}
	slices.SortStableFunc(written, func(a, b *node) int { return a.rank() - b.rank() })
	return written, nil
}

// rank puts directories before all that may be in them, and files of the context last.
func (n *node) rank() int {
	switch {
	case n.entry.Kind == treeindex.Dir:
		return 0
	case n.source == "":
		return 1
	}
	return 2
}

// Changes reports whether there is a layer.
func (i *Image) Changes() bool { return len(i.written) > 0 }

// WriteLayer writes the layer, a gzip compressed tar, with files of the canonical
// context that open opens: once, or as often as a file goes to more than one place.
func (i *Image) WriteLayer(ctx context.Context, dst io.Writer, open func() (io.ReadCloser, error)) (Layer, error) {
	whole, plain := &sum{w: dst, hash: sha256.New()}, sha256.New()
	gz, err := gzip.NewWriterLevel(whole, gzip.BestSpeed)
	if err != nil {
		return Layer{}, err
	}
	w := tar.NewWriter(io.MultiWriter(&limit{treeindex.MaxBytes}, gz, plain))
	from := slices.IndexFunc(i.written, func(n *node) bool { return n.source != "" })
	if from < 0 {
		from = len(i.written)
	}
	for _, n := range i.written[:from] {
		if err := n.write(w, int64(len(n.inline)), nil); err != nil {
			return Layer{}, err
		}
	}
	for _, turn := range turns(i.written[from:]) {
		if err := files(ctx, w, turn, open); err != nil {
			return Layer{}, err
		}
	}
	if err := w.Close(); err != nil {
		return Layer{}, fmt.Errorf("write layer: %w", err)
	}
	if err := gz.Close(); err != nil {
		return Layer{}, fmt.Errorf("write layer: %w", err)
	}
	name := func(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }
	return Layer{Digest: name(whole.hash.Sum(nil)), DiffID: name(plain.Sum(nil)), Size: whole.size}, nil
}

// content is a file of the context, or the member of an archive there.
type content struct {
	source string
	member int
}

// content returns what a node has the content of.
func (n *node) content() content { return content{n.source, n.member} }

// turn is what is taken from the context in one reading.
type turn map[content]*node

// turns divides files so that each of the context, and each member of an archive, comes
// once in a turn, and no archive both as a file and unpacked.
func turns(nodes []*node) []turn {
	var all []turn
	times, unpacked := map[content]int{}, map[string]int{}
	put := func(n *node, at int) {
		for at >= len(all) {
			all = append(all, turn{})
		}
		all[at][n.content()] = n
		times[n.content()]++
	}
	for _, n := range nodes {
		if n.member > 0 {
			put(n, times[n.content()])
			unpacked[n.source] = max(unpacked[n.source], times[n.content()])
		}
	}
	for _, n := range nodes {
		if n.member == 0 {
			put(n, unpacked[n.source]+times[n.content()])
		}
	}
	return all
}

// files writes files as they come in the context.
func files(ctx context.Context, w *tar.Writer, taken turn, open func() (io.ReadCloser, error)) error {
	src, err := open()
	if err != nil {
		return err
	}
	defer src.Close()
	left, wanted, archives := len(taken), map[string]bool{}, map[string]bool{}
	for of := range taken {
		wanted[of.source] = true
		archives[of.source] = archives[of.source] || of.member > 0
	}
	take := func(of content, size int64, from io.Reader) error {
		n := taken[of]
		if n == nil {
			return nil
		}
		left--
		return n.write(w, size, from)
	}
	err = buildcontext.SizedFiles(src, wanted, func(name string, size int64, from io.Reader) error {
		if !archives[name] {
			return take(content{source: name}, size, from)
		}
		return tarball.Walk(ctx, from, func(number int, h *tar.Header, member io.Reader) error {
			return take(content{name, number + 1}, h.Size, member)
		})
	})
	if err == nil && left > 0 {
		err = fmt.Errorf("%d files are no longer in the context", left)
	}
	return err
}

// write writes a node, with the content from a reader or its own.
func (n *node) write(w *tar.Writer, size int64, from io.Reader) error {
	e := n.entry
	h := &tar.Header{
		Format: tar.FormatPAX, Name: e.Path, Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID), ModTime: buildcontext.Time(),
	}
	if !n.time.IsZero() {
		h.ModTime = n.time
	}
	switch e.Kind {
	case treeindex.Dir:
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		if e.Path == "" {
			h.Name = "./"
		}
	case treeindex.Link:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	case treeindex.Special:
		h.Typeflag = tar.TypeFifo
	default:
		h.Typeflag, h.Size = tar.TypeReg, size
	}
	if err := w.WriteHeader(h); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	if from == nil {
		_, err := w.Write(n.inline)
		return err
	}
	if _, err := io.Copy(w, from); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	return nil
}

// limit takes so many bytes.
type limit struct{ left int64 }

// Write implements [io.Writer].
func (l *limit) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, &split.Unsure{Reason: "the layer is too large"}
	}
	return len(p), nil
}

// sum counts and hashes what is written.
type sum struct {
	w    io.Writer
	hash interface {
		io.Writer
		Sum(b []byte) []byte
	}
	size int64
}

// Write implements [io.Writer].
func (s *sum) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.size += int64(n)
	_, _ = s.hash.Write(p[:n]) // never fails
	return n, err
}

// Config is the configuration of the image, whose layer has that ID; empty for an
// image without one.
func (i *Image) Config(diffID string) ([]byte, error) { return i.config.encode(diffID) }
