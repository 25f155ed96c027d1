package assemble

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"kiln/internal/buildcontext"
	"kiln/internal/treeindex"
)

// Layer is a layer that was written.
type Layer struct {
	// Digest and Size are those of the compressed layer, DiffID is the digest of what
	// is compressed: "sha256:" and 64 digits.
	Digest, DiffID string
	Size           int64
}

// maxTurns bounds how often the context is read for a layer: as often as one of its
// files goes to different places.
const maxTurns = 16

// written lists what the layer has: what the rest has made and changed, with the
// directories that lead there, since some that unpack layers make those anew.
func (r *root) written() ([]*node, error) {
	if err := r.within(); err != nil {
		return nil, err
	}
	all := map[string]*node{}
	for name, n := range r.nodes {
		all[name] = n
		for dir := name; dir != ""; {
			dir = parent(dir)
			if all[dir] != nil || r.nodes[dir] != nil || dir == "" {
				continue
			}
			e, found := r.find(dir)
			if !found || e.Kind != treeindex.Dir {
				return nil, fmt.Errorf("/%s is no directory any more", dir)
			}
			all[dir] = &node{entry: e}
		}
	}
	var written []*node
	times := map[string]int{}
	for _, name := range sorted(all) {
		n := all[name]
		switch {
		case n.entry.Attributes:
			return nil, fmt.Errorf("/%s has extended attributes", name)
		case n.source != "" && times[n.source] == maxTurns:
			return nil, fmt.Errorf("%s goes to more than %d places", n.source, maxTurns)
		case n.entry.Kind == treeindex.Dir && r.covered[name]:
			return nil, fmt.Errorf("/%s was a directory, something else, and a directory again", name)
		}
		times[n.source]++
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
// context that open opens: once, or as often as one file goes to more than one place.
func (i *Image) WriteLayer(dst io.Writer, open func() (io.ReadCloser, error)) (Layer, error) {
	whole, plain := &sum{w: dst, hash: sha256.New()}, sha256.New()
	gz, err := gzip.NewWriterLevel(whole, gzip.BestSpeed)
	if err != nil {
		return Layer{}, err
	}
	w := tar.NewWriter(io.MultiWriter(gz, plain))
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
		if err := files(w, turn, open); err != nil {
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

// turns divides files so that each of the context comes once in a turn.
func turns(nodes []*node) []map[string]*node {
	var all []map[string]*node
	for _, n := range nodes {
		at := slices.IndexFunc(all, func(turn map[string]*node) bool { return turn[n.source] == nil })
		if at < 0 {
			at, all = len(all), append(all, map[string]*node{})
		}
		all[at][n.source] = n
	}
	return all
}

// files writes files as they come in the context.
func files(w *tar.Writer, turn map[string]*node, open func() (io.ReadCloser, error)) error {
	src, err := open()
	if err != nil {
		return err
	}
	defer src.Close()
	left, wanted := len(turn), map[string]bool{}
	for name := range turn {
		wanted[name] = true
	}
	err = buildcontext.SizedFiles(src, wanted, func(name string, size int64, content io.Reader) error {
		left--
		return turn[name].write(w, size, content)
	})
	if err == nil && left > 0 {
		err = fmt.Errorf("%d files are no longer in the context", left)
	}
	return err
}

// write writes a node, with content or its own.
func (n *node) write(w *tar.Writer, size int64, content io.Reader) error {
	e := n.entry
	h := &tar.Header{
		Format: tar.FormatPAX, Name: e.Path, Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID), ModTime: buildcontext.Time(),
	}
	switch e.Kind {
	case treeindex.Dir:
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		if e.Path == "" {
			h.Name = "./"
		}
	case treeindex.Link:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	default:
		h.Typeflag, h.Size = tar.TypeReg, size
	}
	if err := w.WriteHeader(h); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	if content == nil {
		_, err := w.Write(n.inline)
		return err
	}
	if _, err := io.Copy(w, content); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	return nil
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
