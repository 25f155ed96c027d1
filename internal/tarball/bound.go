package tarball

import (
	"errors"
	"fmt"
	"io"
)

// ErrArchive is in errors that are about an archive, and not about where it is read.
var ErrArchive = errors.New("the archive is not unpacked here")

// source remembers why reading the file itself failed.
type source struct {
	r   io.Reader
	err error
}

// Read implements [io.Reader].
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// or is why reading the file failed, or what is wrong with the archive.
func (s *source) or(err error) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%w: %w", ErrArchive, err)
}

// bounded ends what is unpacked after so many bytes.
type bounded struct {
	r    io.Reader
	left int64
	over *bool
	// ended is the error of who does not wait any more: little can unpack to much.
	ended func() error
}

var errTooLarge = errors.New("too large")

// Read implements [io.Reader].
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		*b.over = true
		return 0, errTooLarge
	}
	if err := b.ended(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
