package tarball

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Bounds of one archive.
const (
	maxBytes   = 1 << 30
	maxEntries = 100_000
	// maxNoted bounds how many names are kept, and maxKept those that were found, in bytes.
	maxNoted = 64
	maxKept  = 200
)

// Facts are what is known of a file.
type Facts struct {
	// Docker and Kaniko are whether each unpacks it; Kaniko fails on the way where
	// Docker does not.
	Docker, Kaniko bool
	// Format is the compression: "gzip", "bzip2", "xz", "zstd", or empty.
	Format string
	// Root is whether the archive has an entry for its own top directory that is
	// not root's of mode 755.
	Root bool
	// Special is the first entry that is a pipe or device, Odd the first one that
	// is of a kind or name which Kaniko takes for something else, empty for none.
	Special, Odd string
	// Foreign is the first entry that [List] does not take, empty for none.
	Foreign string
	// Watched are the watched names that the archive has an entry of.
	Watched []string
	// Bytes is how much of it was unpacked to know that.
	Bytes int64
	// Excess is whether it is beyond the bounds, or packed in a way that is not read here,
	// and so not known in full. For xz
	// and zstd, which Kaniko does not unpack, that is [MaxRepacked].
	Excess bool
}

// Watch says which names are of interest.
type Watch struct {
	// Files are clean, relative names; Directories are so where something is in
	// them.
	Files, Directories []string
	// Bytes bounds what is unpacked, 0 for what one file may take.
	Bytes int64
	// Absolute are paths that no hard link may lead to: Kaniko takes its target
	// for one of its own root.
	Absolute func(path string) bool
}

// Look reads a file from its start. Errors come from r or the context.
func Look(ctx context.Context, r io.Reader, watch Watch) (Facts, error) {
	in := &source{r: r}
	head := bufio.NewReaderSize(in, 4096)
	first, _ := head.Peek(10) // a short file has less
	facts := Facts{Format: format(first)}
	facts.Kaniko = facts.Format != ""
	unpacked, end, err := open(head, first)
	if err != nil {
		// A damaged file is none. What the header of a gzip file may have that is not read
		// here, others read.
		facts.Excess = facts.Repacked() || errors.Is(err, gzip.ErrHeader)
		return facts, in.err
	}
	defer end()
	left := int64(maxBytes)
	if facts.Repacked() {
		left = MaxRepacked
	}
	if watch.Bytes > 0 {
		left = min(left, watch.Bytes)
	}
	limited := &bounded{r: unpacked, left: left, over: &facts.Excess, ended: func() error { return context.Cause(ctx) }}
	facts.read(tar.NewReader(limited), watch)
	facts.Bytes = left - limited.left
	facts.Kaniko = facts.Kaniko || facts.Docker
	return facts, errors.Join(in.err, context.Cause(ctx))
}

// Repacked reports whether Kaniko can unpack the file only when it is written
// anew.
func (f Facts) Repacked() bool { return f.Format == "xz" || f.Format == "zstd" }

// format is the compression of a file by its first bytes, "" for none.
func format(first []byte) string {
	switch {
	case bytes.HasPrefix(first, []byte("\x1f\x8b\x08")):
		return "gzip"
	case bytes.HasPrefix(first, []byte("BZh")):
		return "bzip2"
	case bytes.HasPrefix(first, []byte("\xfd7zXZ\x00")):
		return "xz"
	case bytes.HasPrefix(first, []byte("\x28\xb5\x2f\xfd")), len(first) >= 8 && first[0]>>4 == 5 && string(first[1:4]) == "\x2a\x4d\x18":
		return "zstd"
	}
	return ""
}

// open returns what a file is unpacked from, and what ends reading it. An error
// says that it is damaged, or unpacked by more memory than it gets here.
func open(r io.Reader, first []byte) (io.Reader, func(), error) {
	nothing := func() {}
	switch format(first) {
	case "gzip":
		gz, err := gzip.NewReader(r)
		return gz, nothing, err
	case "bzip2":
		return bzip2.NewReader(r), nothing, nil
	case "xz":
		x, err := newXz(r)
		return x, nothing, err
	case "zstd":
		return unzstd(r)
	}
	return r, nothing, nil
}

// read notes what is in an archive. It is one for Docker if its first entry can
// be read.
func (f *Facts) read(in *tar.Reader, watch Watch) {
	for count := 0; ; count++ {
		h, err := in.Next()
		if err != nil {
			ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader)
			switch {
			case f.Excess || errors.Is(err, io.EOF):
			case f.Docker:
				f.Odd = "what follows entry " + strconv.Itoa(count)
			case f.Repacked() && !ended:
				f.Excess = true // of a kind, or with a window, that is not read here
			}
			return
		}
		f.Docker = true
		if count >= maxEntries {
			f.Excess = true
			return
		}
		f.note(h, path.Clean(h.Name), watch)
	}
}

// note notes one entry.
func (f *Facts) note(h *tar.Header, name string, watch Watch) {
	relative := strings.TrimPrefix(name, "/")
	if h.Typeflag == tar.TypeXGlobalHeader {
		return
	}
	if foreign(h) {
		keep(&f.Foreign, name)
	}
	switch {
	case relative == "" || relative == ".":
		f.Root = f.Root || h.Mode&0o7777 != 0o755 || h.Uid != 0 || h.Gid != 0
	case h.Typeflag == tar.TypeFifo || h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock:
		keep(&f.Special, relative)
	case h.Typeflag == tar.TypeLink && watch.Absolute != nil && watch.Absolute(path.Join("/", h.Linkname)):
		keep(&f.Odd, relative)
	case !slices.Contains([]byte{tar.TypeReg, tar.TypeDir, tar.TypeLink, tar.TypeSymlink}, h.Typeflag),
		strings.HasPrefix(path.Base(relative), ".wh."), relative == "..", strings.HasPrefix(relative, "../"):
		keep(&f.Odd, relative)
	}
	for _, file := range watch.Files {
		if relative == file {
			f.watched(file)
		}
	}
	for _, directory := range watch.Directories {
		if strings.HasPrefix(relative, directory+"/") || relative == directory && h.Typeflag != tar.TypeDir {
			f.watched(directory)
		}
	}
}

// watched notes a watched name once.
func (f *Facts) watched(name string) {
	if len(f.Watched) < maxNoted && !slices.Contains(f.Watched, name) {
		f.Watched = append(f.Watched, name)
	}
}

// keep sets a name that is not set.
func keep(kept *string, name string) {
	if *kept == "" {
		*kept = strings.Clone(name[:min(len(name), maxKept)])
	}
}
