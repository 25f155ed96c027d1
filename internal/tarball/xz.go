package tarball

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

var errXz = errors.New("not an xz file that is read here")

// xzReader reads the blocks of one xz stream (The .xz File Format 1.2.1), whose
// one filter is LZMA2. It verifies no checksum: what is unpacked of a damaged
// file is a damaged archive, or the author's own doing.
type xzReader struct {
	in    *counted
	check int64
	block io.Reader
	done  bool
}

// counted counts what is read, for the padding of blocks.
type counted struct {
	r io.Reader
	n int64
}

// Read implements [io.Reader].
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// newXz reads the stream header.
func newXz(r io.Reader) (*xzReader, error) {
	var header [12]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	if header[6] != 0 || header[7] > 15 {
		return nil, errXz
	}
	sizes := [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64} // section 2.1.1.2
	return &xzReader{in: &counted{r: r}, check: sizes[header[7]]}, nil
}

// Read implements [io.Reader].
func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.done {
			return 0, io.EOF
		}
		if x.block == nil {
			if err := x.next(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := x.block.Read(p)
		if errors.Is(err, io.EOF) {
			x.block, err = nil, x.end()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// next reads a block's header, or finds the index, which ends the blocks.
func (x *xzReader) next() error {
	x.in.n = 0
	var size [1]byte
	if _, err := io.ReadFull(x.in, size[:]); err != nil {
		return err
	}
	if size[0] == 0 {
		x.done = true
		return nil
	}
	header := make([]byte, int(size[0])*4+3) // with its checksum
	if _, err := io.ReadFull(x.in, header); err != nil {
		return err
	}
	dictionary, err := lzma2(header[:len(header)-4])
	if err != nil {
		return err
	}
	x.block, err = lzma.Reader2Config{DictCap: dictionary}.NewReader2(x.in)
	return err
}

// lzma2 returns the dictionary's size of a block header whose one filter is
// LZMA2. The file may say up to 4 GiB, which the library's own reader of xz takes
// from memory at once; nothing refers back further than what is unpacked here.
func lzma2(header []byte) (int, error) {
	flags, rest := header[0], header[1:]
	if flags&0x3f != 0 {
		return 0, errXz // further filters, or flags that are reserved
	}
	for _, flag := range []byte{0x40, 0x80} { // the sizes of the block
		if flags&flag == 0 {
			continue
		}
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, errXz
		}
		rest = rest[n:]
	}
	if len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 {
		return 0, errXz
	}
	size, err := lzma.DecodeDictCap(rest[2])
	if err != nil {
		return 0, errXz
	}
	return int(min(max(size, lzma.MinDictCap), MaxRepacked)), nil
}

// end reads what stands behind a block: padding to four bytes, and its check.
func (x *xzReader) end() error {
	_, err := io.CopyN(io.Discard, x.in, (4-x.in.n%4)%4+x.check)
	return err
}
