package buildcontext

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ReadFile returns the content of the file called name in src, an archive that
// [Canonical] wrote, read from its start. Symbolic links are followed as Stage
// does for a Dockerfile: within the context, each to a file.
//
// It is an [*InputError] when there is no such file, when it is no regular
// file, and when it is larger than limit bytes.
func ReadFile(src io.ReadSeeker, name string, limit int64) ([]byte, error) {
	next := name
	for range maxHops {
		if _, err := src.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("read context: %w", err)
		}
		h, content, err := find(src, next, limit)
		switch {
		case err != nil:
			return nil, err
		case h.Typeflag == tar.TypeReg:
			return content, nil
		case h.Typeflag != tar.TypeSymlink:
			return nil, inputError(next, "this must be a regular file")
		}
		if next, err = linkTarget(next, h.Linkname); err != nil {
			return nil, err
		}
	}
	return nil, inputError(name, "more than %d symbolic links follow each other", maxHops)
}

// find returns the header of name, and its content if it is a file.
func find(src io.Reader, name string, limit int64) (*tar.Header, []byte, error) {
	gz, err := gzip.NewReader(src)
	if err != nil {
		return nil, nil, fmt.Errorf("read context: %w", err)
	}
	tr := tar.NewReader(gz)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil, inputError(name, "there is no such file in the build context")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read context: %w", err)
		}
		if strings.TrimSuffix(h.Name, "/") != name {
			continue
		}
		if h.Size > limit {
			return nil, nil, inputError(name, "the file is larger than %s", formatBytes(limit))
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			return nil, nil, fmt.Errorf("read context: %w", err)
		}
		return h, content, nil
	}
}
