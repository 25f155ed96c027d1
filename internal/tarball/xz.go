package tarball

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"slices"

	"github.com/ulikunitz/xz/lzma"
)

var errXz = errors.New("not an xz file that is read here")

// xzReader reads the blocks of xz streams (The .xz File Format 1.2.1), whose one filter is
// LZMA2, one stream after the other, and verifies the checks that xz knows. What takes more
// work than its content is worth is refused.
type xzReader struct {
	in     *counted
	out    int64
	blocks int
	check  int64
	sum    hash.Hash // of a block, nil where it is not verified
	block  io.Reader
	done   bool
}

const (
	// maxBlocks bounds the blocks of a file, of which each takes a dictionary.
	maxBlocks = 256
	// slack is what a file may be larger than twice its content, in bytes.
	slack = 64 << 10
)

// counted counts what is read: n for the padding of blocks, all of the whole file. It
// reads no further than it is asked to.
type counted struct {
	r      io.Reader
	n, all int64
}

// Read implements [io.Reader].
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.all += int64(n)
	return n, err
}

// ReadByte implements [io.ByteReader].
func (c *counted) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(c, b[:])
	return b[0], err
}

// newXz reads the first stream's header.
func newXz(r io.Reader) (*xzReader, error) {
	x := &xzReader{in: &counted{r: r}}
	var header [12]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	return x, x.stream(header)
}

// xzMagic is what a stream begins with.
const xzMagic = "\xfd7zXZ\x00"

// stream takes the header of a stream.
func (x *xzReader) stream(header [12]byte) error {
	if string(header[:6]) != xzMagic || header[6] != 0 || header[7] > 15 {
		return errXz
	}
	sizes := [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64} // section 2.1.1.2
	x.check, x.sum = sizes[header[7]], nil
	switch header[7] {
	case 1:
		x.sum = crc32.NewIEEE()
	case 4:
		x.sum = crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		x.sum = sha256.New()
	}
	return nil
}

// Read implements [io.Reader].
func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.done {
			return 0, io.EOF
		}
		if x.block == nil {
			if err := x.next(); err != nil {
				return 0, cutOff(err)
			}
			continue
		}
		n, err := x.block.Read(p)
		if x.out += int64(n); x.in.all > 2*x.out+slack {
			return n, errXz
		}
		if x.sum != nil {
			_, _ = x.sum.Write(p[:n]) // never fails
		}
		if errors.Is(err, io.EOF) {
			x.block, err = nil, cutOff(x.end())
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// cutOff says of an end between two parts of a file that it is none.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next begins a block, or goes past the index that stands behind the last one of a stream.
func (x *xzReader) next() error {
	x.in.n = 0
	size, err := x.in.ReadByte()
	if err != nil {
		return err
	}
	if size == 0 {
		return x.index()
	}
	if x.blocks++; x.blocks > maxBlocks {
		return errXz
	}
	header := make([]byte, int(size)*4+3) // with its checksum
	if _, err := io.ReadFull(x.in, header); err != nil {
		return err
	}
	dictionary, err := lzma2(header[:len(header)-4])
	if err != nil {
		return err
	}
	if x.sum != nil {
		x.sum.Reset()
	}
	x.block, err = lzma.Reader2Config{DictCap: dictionary}.NewReader2(x.in)
	return err
}

// index goes past an index and the stream's footer, to the next stream or to the end. Only
// the padding of streams, by four zeros, may come between.
func (x *xzReader) index() error {
	records, err := binary.ReadUvarint(x.in)
	for ; err == nil && records > 0; records-- {
		for range 2 { // the sizes of a block
			if _, err = binary.ReadUvarint(x.in); err != nil {
				break
			}
		}
	}
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, x.in, (4-x.in.n%4)%4+4); err != nil {
		return err
	}
	var footer, header [12]byte
	if _, err := io.ReadFull(x.in, footer[:]); err != nil {
		return err
	}
	if string(footer[10:]) != "YZ" {
		return errXz
	}
	for {
		_, err := io.ReadFull(x.in, header[:4])
		if errors.Is(err, io.EOF) {
			x.done = true
			return nil
		}
		if err != nil {
			return err
		}
		if header != [12]byte{} {
			break
		}
	}
	if _, err := io.ReadFull(x.in, header[4:]); err != nil {
		return err
	}
	return x.stream(header)
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

// end goes past the padding of a block, and compares its check.
func (x *xzReader) end() error {
	padding := (4 - x.in.n%4) % 4
	behind := make([]byte, padding+x.check)
	if _, err := io.ReadFull(x.in, behind); err != nil {
		return err
	}
	if x.sum == nil {
		return nil
	}
	want := x.sum.Sum(nil)
	if x.check <= 8 { // numbers have their lowest byte first
		slices.Reverse(want)
	}
	if !bytes.Equal(want, behind[padding:]) {
		return errXz
	}
	return nil
}
