package buildcontext

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
)

// perEntry is the most that one entry of an archive may take besides its
// content: two headers, the records of two long names, and padding.
const perEntry = 16 << 10

// Canonical reads a plain tar from src, to whose author nothing is believed,
// and writes the same context to dst as a gzip compressed tar in canonical
// form, below the directory [Dir]. It reads src once and to its end.
//
// The archive must be in canonical order already, as Stage leaves it; owners,
// times and modes are brought into form. The entry for the context's own
// directory, which is the first, may be missing. It is an [*InputError] when names are
// not clean and relative, not sorted, doubled or below anything but a
// directory of the archive; when an entry is neither directory, regular file
// nor symbolic link, is sparse, or is in another format than ustar and pax;
// when the archive is cut off, lacks its end mark or goes on behind it; and
// when it is beyond l. Other errors come from src or dst. What dst got before
// an error is of no use.
func Canonical(dst io.Writer, src io.Reader, l Limits) (Summary, error) {
	return write(dst, src, l, nil)
}

// write is [Canonical], and lists the entries in a tree that is not nil.
func write(dst io.Writer, src io.Reader, l Limits, tree *Tree) (Summary, error) {
	l = l.orDefault()
	in := &source{r: bufio.NewReaderSize(src, 64<<10), left: rawLimit(l)}
	out := &sink{w: dst}
	sum, err := canonical(out, in, l, tree)
	switch {
	case err == nil:
		return sum, nil
	case out.err != nil:
		return Summary{}, fmt.Errorf("write context: %w", out.err)
	case in.err != nil && !errors.Is(in.err, io.EOF):
		return Summary{}, fmt.Errorf("read context: %w", in.err)
	}
	if _, ok := errors.AsType[*InputError](err); ok {
		return Summary{}, err
	}
	// Both ends are well, so it is the archive in between.
	return Summary{}, inputError("", "the build context is not a well-formed archive: %v", err)
}

// rawLimit is the length of the longest archive within l.
func rawLimit(l Limits) int64 {
	headers := int64(min(l.Entries, math.MaxInt64/2/perEntry)) * perEntry
	return min(l.Bytes, math.MaxInt64/2) + headers
}

// canonical leaves it to its caller to find out whose fault an error is.
func canonical(out io.Writer, in *source, l Limits, tree *Tree) (Summary, error) {
	gz, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return Summary{}, err
	}
	a := newArchive(gz, l)
	a.prefix = Dir + "/"
	if err := a.root(); err != nil {
		return Summary{}, err
	}
	tr := tar.NewReader(in)
	var previous entry
	for first := true; ; first = false {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Summary{}, err
		}
		if first && h.Typeflag == tar.TypeDir && h.Name == rootName {
			continue // written already
		}
		e, err := readEntry(h)
		if err != nil {
			return Summary{}, err
		}
		if reason := misplaced(previous, e); reason != "" {
			return Summary{}, inputError(e.path, "%s", reason)
		}
		if err := a.add(e, tr); err != nil {
			return Summary{}, err
		}
		tree.add(e)
		previous = e
	}
	if err := in.ended(); err != nil {
		return Summary{}, err
	}
	sum, err := a.close()
	if err != nil {
		return Summary{}, err
	}
	return sum, gz.Close()
}

// readEntry brings a header into canonical form or refuses it.
func readEntry(h *tar.Header) (entry, error) {
	e := entry{path: h.Name, mode: h.Mode & 0o7777}
	if h.Format != tar.FormatUSTAR && h.Format != tar.FormatPAX {
		return e, inputError(h.Name, "the archive's format is neither ustar nor pax")
	}
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return e, inputError(h.Name, "the archive holds a sparse file")
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		e.kind, e.size = kindFile, h.Size
	case tar.TypeDir:
		e.kind, e.path = kindDir, strings.TrimSuffix(h.Name, "/")
	case tar.TypeSymlink:
		e.kind, e.mode, e.link = kindLink, linkMode, h.Linkname
	default:
		return e, inputError(h.Name, "the archive holds an entry of type %q; only directories, regular files and symbolic links are allowed", h.Typeflag)
	}
	// Strings of their own: those of a header are parts of all its records.
	e.path, e.link = strings.Clone(e.path), strings.Clone(e.link)
	if reason := checkName(e.path); reason != "" {
		return e, inputError(h.Name, "%s", reason)
	}
	return e, checkContent(e, h)
}

// checkContent looks at what depends on the entry's type.
func checkContent(e entry, h *tar.Header) error {
	switch {
	case e.kind != kindFile && h.Size != 0:
		return inputError(e.path, "an entry that is not a regular file has content")
	case e.kind != kindLink && h.Linkname != "":
		return inputError(e.path, "an entry that is not a symbolic link has a link target")
	case e.kind == kindLink && (e.link == "" || len(e.link) > maxName || strings.IndexByte(e.link, 0) >= 0):
		return inputError(e.path, "the target of a symbolic link is empty, longer than %d bytes or holds a NUL byte", maxName)
	}
	return nil
}

// misplaced says what is wrong with e coming after previous, or nothing.
//
// In canonical order the directory of e is previous or lies above it, and all
// that lies above previous was seen to be a directory in its turn. So no list
// of what was seen is needed.
func misplaced(previous, e entry) string {
	switch order := compareNames(previous.path, e.path); {
	case order == 0:
		return "the archive holds this name twice"
	case order > 0:
		return "the archive is not sorted: this name comes after " + printable(previous.path)
	}
	switch dir := path.Dir(e.path); {
	case dir == "." || strings.HasPrefix(previous.path, dir+"/"):
		return ""
	case dir != previous.path:
		return "the archive lacks the directory of this name"
	case previous.kind != kindDir:
		return "the archive has something else than a directory above this name"
	}
	return ""
}

// source remembers how reading ended, and reads no more than left bytes.
type source struct {
	r    io.Reader
	left int64
	err  error
}

// Read implements [io.Reader].
func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.left <= 0 {
		return 0, inputError("", "the build context's archive is longer than its limits of size and entries allow")
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	s.err = err
	return n, err
}

// ended reports whether the archive ended where its reader stopped. The reader
// takes the end of the input for the end of the archive, so an archive that
// was cut off between two entries shows only here.
func (s *source) ended() error {
	if s.err != nil {
		return errors.New("its end mark is missing, so it was cut off")
	}
	s.left = max(s.left, 1)
	var rest [1]byte
	if _, err := io.ReadFull(s, rest[:]); err != io.EOF {
		return errors.New("something follows its end mark")
	}
	return nil
}

// sink remembers why writing failed.
type sink struct {
	w   io.Writer
	err error
}

// Write implements [io.Writer].
func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}
