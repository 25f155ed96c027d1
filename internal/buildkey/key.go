package buildkey

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"kiln/internal/buildcontext"
)

// version is the first field of every key. It changes with the rules for what
// follows, and with what kiln makes of the same inputs.
const version = "kiln build v4"

// tagPrefix begins the tag of every key, before 40 hexadecimal digits.
const tagPrefix = "k1-"

// Reference is an image that a build takes from a registry.
type Reference struct {
	// Name is the image as the Dockerfile names it, ARGs expanded.
	Name string
	// Platform is the one it is taken for, such as linux/amd64.
	Platform string
	// Digest is what the name stands for now.
	Digest string
}

// Inputs are all that a build's result depends on.
type Inputs struct {
	// Executor is the image reference of the executor, with its digest where
	// that is known.
	Executor string
	// Flags are the executor's flags and feature switches that change the
	// result, in their order. The destination is not among them.
	Flags []string
	// Platform is what is built for, such as linux/amd64.
	Platform string
	// Dockerfile is the path in the context.
	Dockerfile string
	// Files stand beside the context: the Dockerfile as the executor gets it,
	// and what it copies from there. The author's own Dockerfile is part of the
	// context.
	Files []buildcontext.File
	// Context is the digest of the context's content; see
	// buildcontext.Summary.
	Context string
	// References are the images that the Dockerfile names, those that the
	// triggers of its bases name included. Their order means nothing.
	References []Reference
}

// Key is the content address of a build. Keys are equal when all inputs are.
type Key [sha256.Size]byte

// New returns the key of inputs: SHA-256 over a list of fields, each preceded
// by its length in bytes as a 64-bit big-endian number. The fields are those of
// [Inputs] in their order after the version. A list is preceded by a field with
// the number of its elements as a 64-bit big-endian number; references are
// sorted.
func New(inputs Inputs) Key {
	return sha256.Sum256(frame(inputs))
}

// Tag returns the tag under which the image of this build is kept: "k1-" and
// the first 40 hexadecimal digits of the key.
func (k Key) Tag() string { return tagPrefix + k.String()[:40] }

// String returns the key as 64 hexadecimal digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// frame writes inputs so that no two different inputs give the same bytes.
func frame(inputs Inputs) []byte {
	var f fields
	f.add(version, inputs.Executor)
	f.count(len(inputs.Flags))
	f.add(inputs.Flags...)
	f.add(inputs.Platform, inputs.Dockerfile)
	f.count(len(inputs.Files))
	for _, file := range inputs.Files {
		f.add(file.Name, string(file.Content))
	}
	f.add(inputs.Context)
	f.count(len(inputs.References))
	for _, r := range slices.SortedFunc(slices.Values(inputs.References), compare) {
		f.add(r.Name, r.Platform, r.Digest)
	}
	return f.Bytes()
}

func compare(a, b Reference) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Digest, b.Digest))
}

// fields are length-prefixed.
type fields struct{ bytes.Buffer }

func (f *fields) add(texts ...string) {
	for _, text := range texts {
		f.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		f.WriteString(text)
	}
}

// count says how many elements of a list follow.
func (f *fields) count(n int) {
	f.add(string(binary.BigEndian.AppendUint64(nil, uint64(n))))
}
