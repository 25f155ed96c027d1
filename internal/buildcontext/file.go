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
	content, missing, err := readFile(src, name, limit)
	if err == nil && missing != "" {
		err = inputError(missing, "there is no such file in the build context")
	}
	return content, err
}

// ReadIgnore returns the content of the .dockerignore that Stage has gone by for
// the Dockerfile of that name, nothing where there is none. It reads src and
// fails as ReadFile does.
func ReadIgnore(src io.ReadSeeker, dockerfile string) ([]byte, error) {
	for _, name := range ignoreFiles(dockerfile) {
		content, missing, err := readFile(src, name, maxIgnoreBytes)
		if err != nil || missing == "" {
			return content, err
		}
	}
	return nil, nil
}

// readFile is ReadFile, but tells what is missing.
func readFile(src io.ReadSeeker, name string, limit int64) (content []byte, missing string, err error) {
	next := name
	for range maxHops {
		if _, err := src.Seek(0, io.SeekStart); err != nil {
			return nil, "", fmt.Errorf("read context: %w", err)
		}
		h, content, err := find(src, next, limit)
		switch {
		case err != nil:
			return nil, "", err
		case h == nil:
			return nil, next, nil
		case h.Typeflag == tar.TypeReg:
			return content, "", nil
		case h.Typeflag != tar.TypeSymlink:
			return nil, "", inputError(next, "this must be a regular file")
		}
		if next, err = linkTarget(next, h.Linkname); err != nil {
			return nil, "", err
		}
	}
	return nil, "", inputError(name, "more than %d symbolic links follow each other", maxHops)
}

// find returns the header of name, and its content if it is a file; nil if it is
// not there. It reads no further than to where it would stand.
func find(src io.Reader, name string, limit int64) (*tar.Header, []byte, error) {
	gz, err := gzip.NewReader(src)
	if err != nil {
		return nil, nil, fmt.Errorf("read context: %w", err)
	}
	tr := tar.NewReader(gz)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read context: %w", err)
		}
		switch order := compareNames(strings.TrimPrefix(strings.TrimSuffix(h.Name, "/"), Dir+"/"), name); {
		case h.Name == Dir+"/" || order < 0:
			continue
		case order > 0:
			return nil, nil, nil
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

// Files reads src, an archive that [Canonical] wrote, from its start, and calls
// visit with the content of each regular file that is wanted, by its path. It
// ends with the first error, and with the last file that is wanted.
func Files(src io.Reader, wanted map[string]bool, visit func(name string, content io.Reader) error) error {
	return SizedFiles(src, wanted, func(name string, _ int64, content io.Reader) error { return visit(name, content) })
}

// SizedFiles is [Files], and tells the size of each file in bytes.
func SizedFiles(src io.Reader, wanted map[string]bool, visit func(name string, size int64, content io.Reader) error) error {
	gz, err := gzip.NewReader(src)
	if err != nil {
		return fmt.Errorf("read context: %w", err)
	}
	left := len(wanted)
	for tr := tar.NewReader(gz); left > 0; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read context: %w", err)
		}
		name := strings.TrimPrefix(h.Name, Dir+"/")
		if h.Typeflag != tar.TypeReg || !wanted[name] {
			continue
		}
		left--
		if err := visit(name, h.Size, tr); err != nil {
			return err
		}
	}
	return nil
}
