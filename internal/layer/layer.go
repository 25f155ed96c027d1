// Package layer reads the layers of images as registries have them: tar archives that
// are compressed by gzip, by zstd, or not at all. They are hostile: memory is bounded,
// length is not.
package layer

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory of a zstd decoder, in bytes; what needs more cannot be
// read.
const maxWindow = 8 << 20

// Magic numbers of RFC 1952 and of RFC 8878.
const (
	magicGzip = "\x1f\x8b"
	magicZstd = "\x28\xb5\x2f\xfd"
)

// Memory is about the most that reading a layer takes beside r, in bytes: much where it
// is compressed by zstd.
func Memory(r *bufio.Reader) int {
	first, _ := r.Peek(4) // a short one is none
	if bytes.HasPrefix(first, []byte(magicZstd)) {
		return 2 * maxWindow
	}
	return 64 << 10
}

// Decompress returns the archive of a layer, and what ends reading it. The content
// tells how it is compressed.
func Decompress(r *bufio.Reader) (archive io.Reader, end func(), err error) {
	first, _ := r.Peek(4) // a short one is none
	switch {
	case bytes.HasPrefix(first, []byte(magicGzip)):
		gz, err := gzip.NewReader(r)
		return gz, func() {}, err
	case bytes.HasPrefix(first, []byte(magicZstd)):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}
