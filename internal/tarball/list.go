package tarball

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
	"time"
)

// Entry is one entry of an archive.
type Entry struct {
	// Name is clean and relative, "." for the archive's own top directory.
	Name string
	// Kind is one of [tar.TypeDir], [tar.TypeReg], [tar.TypeSymlink] and [tar.TypeFifo].
	Kind byte
	// Mode is the permission bits with setuid, setgid and sticky.
	Mode     uint32
	UID, GID uint32
	// Size is that of a file, in bytes.
	Size int64
	// Target is that of a symbolic link as it stands, empty for all else.
	Target string
	// Time is the modification time, as it is unpacked.
	Time time.Time
}

const (
	// maxNames bounds what names and targets take in a list, in bytes.
	maxNames = 16 << 20
	// maxPath is the longest name, and the longest target of a symbolic link, in bytes
	// (PATH_MAX in limits.h).
	maxPath = 4095
)

// Lists reports whether [List] takes the archive.
func (f Facts) Lists() bool { return f.Docker && !f.Excess && f.Odd == "" && f.Foreign == "" }

// List lists an archive: the entry at n is number n of [Walk]. The error is [ErrArchive]
// where it cannot be listed in full, or comes from r or the context.
func List(ctx context.Context, r io.Reader) ([]Entry, error) {
	var all []Entry
	names := 0
	err := Walk(ctx, r, func(_ int, h *tar.Header, _ io.Reader) error {
		if foreign(h) {
			return fmt.Errorf("%w: it has %.200q", ErrArchive, h.Name)
		}
		if names += len(h.Name) + len(h.Linkname); names > maxNames {
			return fmt.Errorf("%w: %w", ErrArchive, errTooLarge)
		}
		e := Entry{ // of its own strings: those of a header are parts of all its records
			Name: strings.Clone(inside(h.Name)), Kind: h.Typeflag, Mode: uint32(h.Mode & 0o7777), //nolint:gosec // masked
			UID: uint32(h.Uid), GID: uint32(h.Gid), Size: h.Size, Time: unpackedTime(h.ModTime), //nolint:gosec // foreign has looked
		}
		if h.Typeflag == tar.TypeSymlink {
			e.Target = strings.Clone(h.Linkname)
		}
		all = append(all, e)
		return nil
	})
	return all, err
}

// Walk calls visit for each entry of an archive, which may be compressed, with its number
// from 0 and its content. Global headers are none. The archive is bounded as for [Look];
// what is wrong with it is [ErrArchive], other errors come from r, visit and the context.
func Walk(ctx context.Context, r io.Reader, visit func(number int, h *tar.Header, content io.Reader) error) error {
	in := &source{r: r}
	head := bufio.NewReaderSize(in, 4096)
	first, _ := head.Peek(10) // a short file has less
	unpacked, end, err := open(head, first)
	if err != nil {
		return in.or(err)
	}
	defer end()
	left := int64(maxBytes)
	if (Facts{Format: format(first)}).Repacked() {
		left = MaxRepacked
	}
	over := false
	entries := tar.NewReader(&bounded{r: unpacked, left: left, over: &over, ended: func() error { return context.Cause(ctx) }})
	for number := 0; ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && number >= maxEntries {
			err = errTooLarge
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return in.or(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := visit(number, h, entries); err != nil {
			return errors.Join(in.err, err)
		}
		number++
	}
}

// foreign reports whether an entry is more than a directory, a file, a symbolic link or a
// pipe with owner, mode and time.
func foreign(h *tar.Header) bool {
	for record := range h.PAXRecords { // a sparse file has a size that no bound is about
		if strings.HasPrefix(record, "SCHILY.xattr.") || strings.HasPrefix(record, "GNU.sparse.") {
			return true
		}
	}
	name := path.Clean(h.Name)
	switch {
	case h.Typeflag == tar.TypeSymlink && (h.Linkname == "" || len(h.Linkname) > maxPath), len(h.Name) > maxPath,
		name == "/", name == "..", strings.HasPrefix(name, "../"),
		strings.Contains("/"+name, "/.wh."),
		h.Uid < 0, h.Gid < 0, int64(h.Uid) >= math.MaxUint32, int64(h.Gid) >= math.MaxUint32:
		return true
	case h.Typeflag == tar.TypeDir, h.Typeflag == tar.TypeReg, h.Typeflag == tar.TypeSymlink, h.Typeflag == tar.TypeFifo:
		return false
	}
	return true
}

// inside is the path of an entry below where the archive is unpacked.
func inside(name string) string { return path.Clean(strings.TrimLeft(path.Clean(name), "/")) }

// unpackedTime is a time as moby/go-archive sets it: what 64 bits of nanoseconds do not hold
// is the beginning of 1970.
func unpackedTime(t time.Time) time.Time {
	if t.Before(time.Unix(0, 0)) || t.After(time.Unix(0, math.MaxInt64)) {
		return time.Unix(0, 0)
	}
	return t
}
