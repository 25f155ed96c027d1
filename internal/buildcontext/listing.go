package buildcontext

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strconv"
	"strings"
)

// digestVersion is the first field of every digest. It changes with the rules
// for what follows.
const digestVersion = "kiln context v1"

// errSizeChanged reports content that is shorter or longer than its entry says.
var errSizeChanged = errors.New("the content has not the size that its entry says")

// listing counts entries against the limits and hashes them.
//
// The hash is SHA-256 over a list of fields, each preceded by its length in
// bytes as a 64-bit big-endian number: digestVersion, then for each entry its
// path, kind, mode in octal digits, link target, size in decimal digits, and
// the SHA-256 of a file's content (nothing for others).
type listing struct {
	limits  Limits
	entries int
	bytes   int64
	hash    hash.Hash

	// top is the top-level name being listed, and largest the one that holds
	// most bytes so far: it is what an author wants to hear of when the
	// context is too large.
	top, largest topLevel
}

type topLevel struct {
	name  string
	bytes int64
}

func newListing(l Limits) *listing {
	s := &listing{limits: l.orDefault(), hash: sha256.New()}
	s.field(digestVersion)
	return s
}

func (s *listing) field(value string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(value)))
	s.hash.Write(length[:])
	s.hash.Write([]byte(value))
}

// admit counts e, or says which limit it breaks.
func (s *listing) admit(e entry) error {
	s.countTop(e)
	if s.entries >= s.limits.Entries {
		return inputError(e.path, "the build context has more than %d entries; exclude what the build does not need in .dockerignore, or have KILN_CONTEXT_MAX_ENTRIES raised",
			s.limits.Entries)
	}
	if e.size > s.limits.Bytes-s.bytes {
		return inputError(e.path, "the build context is larger than %s (%d bytes), and up to here most of it is %s with %s; exclude what the build does not need in .dockerignore, or have KILN_CONTEXT_MAX_BYTES raised",
			formatBytes(s.limits.Bytes), s.limits.Bytes, printable(s.largest.name), formatBytes(s.largest.bytes))
	}
	s.entries++
	s.bytes += e.size
	return nil
}

// countTop adds e to its top-level name. Names come sorted, so each top-level
// name is one run of entries.
func (s *listing) countTop(e entry) {
	name, _, _ := strings.Cut(e.path, "/")
	if name != s.top.name {
		s.top = topLevel{name: name}
	}
	s.top.bytes += e.size
	if s.top.bytes >= s.largest.bytes {
		s.largest = s.top
	}
}

// add hashes an entry that admit has let through.
func (s *listing) add(e entry, contentHash []byte) {
	s.field(e.path)
	s.field(string(e.kind))
	s.field(fmt.Sprintf("%04o", e.mode))
	s.field(e.link)
	s.field(strconv.FormatInt(e.size, 10))
	s.field(string(contentHash))
}

func (s *listing) summary() Summary {
	return Summary{Entries: s.entries, Bytes: s.bytes, Digest: "sha256:" + hex.EncodeToString(s.hash.Sum(nil))}
}

// archive writes entries as a tar and lists them.
type archive struct {
	tw *tar.Writer
	// prefix goes before every name in the archive, and into no digest.
	prefix  string
	listing *listing
	content hash.Hash
	buf     []byte
}

func newArchive(w io.Writer, l Limits) *archive {
	return &archive{
		tw:      tar.NewWriter(w),
		listing: newListing(l),
		content: sha256.New(),
		buf:     make([]byte, 128<<10),
	}
}

// rootName is the name of the entry for the context's own directory.
const rootName = "./"

// root writes an entry for the context's own directory. It is the same in every
// archive and no part of the listing. Kaniko makes that directory with the mode
// 750 otherwise, and "COPY . /app" would give it to /app.
func (a *archive) root() error {
	err := a.tw.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeDir, Name: path.Join(a.prefix, ".") + "/", Mode: 0o755, ModTime: Time()})
	if err != nil {
		return fmt.Errorf("write archive entry: %w", err)
	}
	return nil
}

// add writes one entry. content is read to its end when e is a file; it is
// errSizeChanged when that is not e.size bytes away.
func (a *archive) add(e entry, content io.Reader) error {
	if err := a.listing.admit(e); err != nil {
		return err
	}
	h := e.header()
	h.Name = a.prefix + h.Name
	if err := a.tw.WriteHeader(h); err != nil {
		return fmt.Errorf("write archive entry: %w", err)
	}
	if e.kind != kindFile {
		a.listing.add(e, nil)
		return nil
	}
	a.content.Reset()
	n, err := io.CopyBuffer(io.MultiWriter(a.tw, a.content), io.LimitReader(content, e.size), a.buf)
	if err != nil {
		return fmt.Errorf("copy to archive: %w", err)
	}
	if extra, err := content.Read(a.buf[:1]); n < e.size || extra > 0 {
		return errSizeChanged
	} else if err != nil && err != io.EOF {
		return fmt.Errorf("copy to archive: %w", err)
	}
	a.listing.add(e, a.content.Sum(nil))
	return nil
}

// close ends the archive, not what is below it.
func (a *archive) close() (Summary, error) {
	if err := a.tw.Close(); err != nil {
		return Summary{}, fmt.Errorf("end archive: %w", err)
	}
	return a.listing.summary(), nil
}
