package buildcontext

import (
	"archive/tar"
	"cmp"
	"io/fs"
	"path"
	"strings"
	"time"
)

const (
	// maxName and maxComponent are PATH_MAX without its NUL and NAME_MAX of
	// Linux: longer names cannot be extracted.
	maxName      = 4095
	maxComponent = 255
	// linkMode is the mode that Linux shows for every symbolic link.
	linkMode = 0o777
)

// kind is the type of an entry. Its text is part of the digest.
type kind string

const (
	kindDir  kind = "dir"
	kindFile kind = "file"
	kindLink kind = "link"
)

// entry is one member of a context, in canonical form.
type entry struct {
	path string // clean, relative, without a final slash
	kind kind
	mode int64 // permission bits and 07000, and no others
	link string
	size int64
}

// header is the entry as kiln writes it.
func (e entry) header() *tar.Header {
	h := &tar.Header{
		Format:  tar.FormatPAX,
		Name:    e.path,
		Mode:    e.mode,
		ModTime: Time(),
	}
	switch e.kind {
	case kindDir:
		h.Typeflag, h.Name = tar.TypeDir, e.path+"/"
	case kindLink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
	default:
		h.Typeflag, h.Size = tar.TypeReg, e.size
	}
	return h
}

// Time is the modification time of every entry: 2000-01-01T00:00:00Z. Times
// are no content, and no key of a build holds them, but an executor may copy
// them into images: those that somebody forged would run in the steps of all
// who build the same files. It is not 1970, since zip archives begin with 1980
// and build tools refuse what is older (SOURCE_DATE_EPOCH has the same trouble).
func Time() time.Time { return time.Unix(946_684_800, 0) }

// modeBits converts Go's mode to the bits that a tar header holds.
func modeBits(m fs.FileMode) int64 {
	bits := int64(m.Perm())
	for _, special := range []struct {
		mode fs.FileMode
		bit  int64
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&special.mode != 0 {
			bits |= special.bit
		}
	}
	return bits
}

// compareNames orders clean paths component by component.
func compareNames(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		// A slash ends a component, and the shorter of two components that
		// begin alike comes first.
		switch {
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}

// checkName says what keeps name from being the name of an entry, or nothing.
func checkName(name string) string {
	switch {
	case name == "":
		return "an entry has an empty name"
	case strings.IndexByte(name, 0) >= 0:
		return "the name holds a NUL byte"
	case path.IsAbs(name):
		return "the name is an absolute path"
	case name == ".." || strings.HasPrefix(name, "../") || strings.HasSuffix(name, "/..") || strings.Contains(name, "/../"):
		return "the name holds .."
	case name == "." || path.Clean(name) != name:
		return "the name is not in its shortest form"
	case len(name) > maxName:
		return "the name is longer than 4095 bytes"
	}
	for component := range strings.SplitSeq(name, "/") {
		if len(component) > maxComponent {
			return "a part of the name is longer than 255 bytes"
		}
	}
	return ""
}
