package tarball

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/klauspost/compress/zstd"
)

// MaxRepacked bounds an archive that is written anew, before and after it is
// unpacked, in bytes: it is held in memory.
const MaxRepacked = 4 << 20

// maxWindow bounds the memory of a zstd decoder, in bytes.
const maxWindow = 8 << 20

// Repack writes an archive anew, without compression and without the entry for
// its own top directory: Docker unpacks both alike, and Kaniko the new one as
// Docker does. It is an error where it is larger than [MaxRepacked].
func Repack(content []byte) ([]byte, error) {
	head := bufio.NewReader(bytes.NewReader(content))
	first, _ := head.Peek(10) // a short file has less
	unpacked, end, err := open(head, first)
	if err != nil || unpacked == nil {
		return nil, errors.Join(err, errors.New("the archive cannot be unpacked"))
	}
	defer end()
	over := false
	in := tar.NewReader(&bounded{r: unpacked, left: MaxRepacked, over: &over, ended: func() error { return nil }})
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("unpack the archive: %w", err)
		}
		if name := path.Clean(h.Name); name == "." || name == "/" || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack the archive: %w", err)
		}
		if _, err := io.Copy(w, in); err != nil {
			return nil, fmt.Errorf("pack the archive: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the archive: %w", err)
	}
	return out.Bytes(), nil
}

// unzstd reads zstd in bounded memory.
func unzstd(r io.Reader) (io.Reader, func(), error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}
