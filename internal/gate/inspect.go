package gate

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"kiln/internal/layer"
)

const (
	// maxInspected bounds the layers that are inspected at the same time: each
	// takes a decoder's memory.
	maxInspected = 2
	// maxDirectories bounds what is remembered of an image's lower layers.
	maxDirectories = 200_000
	// inspectorBuffer is what an inspector may lag behind, in bytes.
	inspectorBuffer = 256 << 10
)

// Inspection says which layers the executor unpacks, and what of them has to come
// out as with Docker.
type Inspection struct {
	// Image is the image as Pull names it, without a digest.
	Image string `json:"image"`
	// Paths are the absolute paths that matter; "/" is everything.
	Paths []string `json:"paths"`
	// Whiteouts says that the executor honors no whiteouts in this image, as it
	// does where a COPY --from names it. Otherwise it honors all but opaque ones.
	Whiteouts bool `json:"whiteouts,omitempty"`
	// Workdir is a directory that the image has to have, User a number that has to have
	// an entry in its /etc/passwd; empty for none.
	Workdir string `json:"workdir,omitempty"`
	User    string `json:"user,omitempty"`
}

// String is the form that [ParseInspection] reads.
func (i Inspection) String() string {
	text, err := json.Marshal(i)
	if err != nil { // strings always can be
		return ""
	}
	return string(text)
}

// ParseInspection reads one in the form of its JSON.
func ParseInspection(text string) (Inspection, error) {
	var parsed Inspection
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		return parsed, fmt.Errorf("inspection %q: %w", text, err)
	}
	return parsed, nil
}

// inspector looks through the layers of one repository while they pass. It is
// safe for concurrent use.
type inspector struct {
	Inspection
	seed maphash.Seed
	mu   sync.Mutex
	// all is what the layers seen so far do to directories: the executor pulls
	// them in any order, and several at once.
	all directories
	// seen are the layers that were looked through to their end, and numbers those of
	// which that was begun, by their digests: one that is pulled again is the same layer.
	seen    map[string]bool
	numbers map[string]int
	wanted  wanted
}

func newInspector(what Inspection) *inspector {
	i := &inspector{Inspection: what, seed: maphash.MakeSeed(), all: newDirectories(), seen: map[string]bool{}, numbers: map[string]int{}}
	i.wanted.add(what)
	return i
}

// directories are those of layers, by the hashes of their paths.
type directories struct {
	number int               // of the layer, of one alone
	filled map[uint64]int    // something is in them, by that layer
	opaque map[uint64]hidden // what lower layers have in them is hidden
}

// hidden is a directory by its path, and the layer that hides what is in it.
type hidden struct {
	dir   string
	layer int
}

// several is in the place of a layer's number where more than one does it.
const several = -1

func newDirectories() directories {
	return directories{filled: map[uint64]int{}, opaque: map[uint64]hidden{}}
}

// both is the number for what a layer does and, unless it is 0, another one.
func both(layer, other int) int {
	if other == 0 || other == layer {
		return layer
	}
	return several
}

// begin returns what is to be the directories of a layer.
func (i *inspector) begin(digest string) directories {
	i.mu.Lock()
	defer i.mu.Unlock()
	own := newDirectories()
	if own.number = i.numbers[digest]; own.number == 0 {
		own.number = len(i.numbers) + 1
		i.numbers[digest] = own.number
	}
	return own
}

// add joins what is to be inspected of another image of the repository.
func (i *inspector) add(what Inspection) {
	i.Paths = append(i.Paths, what.Paths...)
	i.Whiteouts = i.Whiteouts || what.Whiteouts
	i.wanted.add(what)
}

// errUnfit ends a body in which something was found.
var errUnfit = errors.New("the layer is unfit")

// inspect returns a body that is read as the given one and looked through on the
// way; it ends where something is found. The function tells what that is, ""
// for nothing, once no more is read; it has to be called. Entries are added to the index. A
// layer that was looked through before is so for its index alone.
func (i *inspector) inspect(digest string, body io.Reader, index *pulled) (io.Reader, func() string) {
	i.mu.Lock()
	seen := i.seen[digest]
	i.mu.Unlock()
	switch {
	case seen && index == nil:
		return body, func() string { return "" }
	case seen: // what this inspector looks for it has noted
		return newInspector(Inspection{}).inspect(digest, body, index)
	}
	in, out := io.Pipe()
	found := make(chan string, 1)
	go func() {
		layer := bufio.NewReaderSize(in, inspectorBuffer)
		first, _ := layer.Peek(1) // nothing is no layer either
		what, whole := i.look(layer, i.begin(digest), index)
		if string(first) != "{" { // the image's configuration
			i.wanted.ended(whole)
		}
		if what != "" {
			_ = in.CloseWithError(errUnfit) // it never fails
			found <- what
			return
		}
		if _, err := io.Copy(io.Discard, in); whole && err == nil {
			i.mu.Lock()
			i.seen[digest] = true
			i.mu.Unlock()
		}
		found <- what
	}()
	read := &toEnd{from: body}
	return io.TeeReader(read, out), func() string {
		_ = out.CloseWithError(read.missing()) // it never fails
		return <-found
	}
}

// toEnd is a reader that remembers whether it was read to its end.
type toEnd struct {
	from  io.Reader
	ended bool
}

// Read implements [io.Reader].
func (r *toEnd) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.ended = r.ended || errors.Is(err, io.EOF)
	return n, err
}

// missing is nil where nothing is: an archive that is broken off between two entries looks
// like a whole one.
func (r *toEnd) missing() error {
	if r.ended {
		return nil
	}
	return io.ErrUnexpectedEOF
}

// look reads a layer and returns what the executor unpacks otherwise than a
// runtime. What is no layer that can be read is none of the executor's either.
func (i *inspector) look(r *bufio.Reader, own directories, index *pulled) (found string, whole bool) {
	unpacked, end, err := layer.Decompress(r)
	if err != nil {
		return "", false
	}
	defer end()
	for archive := tar.NewReader(unpacked); ; {
		h, err := archive.Next()
		if err != nil {
			if whole = errors.Is(err, io.EOF); whole {
				index.endArchive(unpacked)
			}
			return i.keep(own), whole
		}
		name := path.Join("/", h.Name)
		if found := i.unfit(h, name, own); found != "" {
			return found, true
		}
		i.wanted.note(h, name, index.add(h, archive))
		for dir := path.Dir(name); dir != "/" && len(own.filled) < maxDirectories; dir = path.Dir(dir) {
			key := maphash.String(i.seed, dir)
			if own.filled[key] != 0 {
				break
			}
			own.filled[key] = own.number
		}
	}
}

// keep adds the directories of a layer to those of the others. It returns what is
// hidden of it, or may be: which of two layers is the lower one is not known.
func (i *inspector) keep(own directories) (found string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for key := range own.filled {
		if by := i.all.opaque[key]; by.layer != 0 && by.layer != own.number {
			return hides(by.dir)
		}
		if len(i.all.filled) < maxDirectories {
			i.all.filled[key] = both(own.number, i.all.filled[key])
		}
	}
	return ""
}

// Names of whiteouts (OCI image specification, "Whiteouts").
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// unfit says what is wrong with an entry of a layer.
func (i *inspector) unfit(h *tar.Header, name string, own directories) string {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	switch {
	case ownOfContainers(name):
		return ""
	case base == opaque:
		if i.matters(dir) && i.hide(dir, own) {
			return hides(dir)
		}
	case strings.HasPrefix(base, whiteout):
		if hidden := path.Join(dir, strings.TrimPrefix(base, whiteout)); i.Whiteouts && i.matters(hidden) {
			return "hides " + hidden + " of a lower layer"
		}
	case h.Typeflag == tar.TypeFifo && i.matters(name):
		return "holds a named pipe, " + name
	case (h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock) && i.matters(name):
		return "holds a device, " + name
	}
	return ""
}

// hide remembers that a layer hides what is in a directory, and reports whether
// another one may have something there.
func (i *inspector) hide(dir string, own directories) bool {
	key := maphash.String(i.seed, dir)
	i.mu.Lock()
	defer i.mu.Unlock()
	own.opaque[key] = hidden{dir, own.number}
	i.all.opaque[key] = hidden{dir, both(own.number, i.all.opaque[key].layer)}
	others := both(own.number, i.all.filled[key]) == several
	return others || len(i.all.filled) >= maxDirectories || len(i.all.opaque) >= maxDirectories
}

// hides says what is wrong with an opaque whiteout.
func hides(dir string) string {
	return "hides what lower layers have in " + dir + " (an opaque whiteout)"
}

// ownOfContainers reports whether a path is one that every container has of its
// own, whatever its image does.
func ownOfContainers(name string) bool {
	return slices.ContainsFunc([]string{"/dev", "/proc", "/sys"}, func(own string) bool { return below(name, own) })
}

// matters reports whether a path is, holds, or is in one that matters.
func (i *inspector) matters(name string) bool {
	return slices.ContainsFunc(i.Paths, func(of string) bool { return below(name, of) || below(of, name) })
}

// below reports whether a clean path is another one, or in it.
func below(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
