package shellbuild

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"kiln/internal/buildcontext"
)

// unpack makes the directory tree of the tar that r is, with or without gzip.
// Names that lead out of it are refused by the operating system. What is neither
// file, directory nor link is left out.
func unpack(r io.Reader, tree string, limits buildcontext.Limits) error {
	if err := os.Mkdir(tree, 0o700); err != nil {
		return fmt.Errorf("unpack context: %w", err)
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return fmt.Errorf("unpack context: %w", err)
	}
	defer root.Close()
	plain, err := gunzip(r)
	if err != nil {
		return usage("standard input is no tar: %w", err)
	}
	archive := tar.NewReader(plain)
	for entries, bytes := 0, int64(0); ; entries++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return usage("standard input is no tar: %w", err)
		}
		bytes += header.Size
		if entries > limits.Entries || bytes > limits.Bytes {
			return fmt.Errorf("the archive on standard input has more than %d files or %d bytes (KILN_CONTEXT_MAX_ENTRIES, KILN_CONTEXT_MAX_BYTES)", limits.Entries, limits.Bytes)
		}
		if err := place(root, header, archive); err != nil {
			return fmt.Errorf("unpack context: %w", err)
		}
	}
}

// gunzip returns the tar in r.
func gunzip(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(2)
	if err != nil {
		return nil, err
	}
	if magic[0] != 0x1f || magic[1] != 0x8b { // RFC 1952, 2.3.1
		return buffered, nil
	}
	return gzip.NewReader(buffered)
}

// place makes one entry.
func place(root *os.Root, header *tar.Header, content io.Reader) error {
	name := path.Clean(header.Name)
	mode := header.FileInfo().Mode().Perm()
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if err := root.MkdirAll(name, 0o755); err != nil || name == "." {
			return err
		}
		return root.Chmod(name, mode|0o700)
	case tar.TypeSymlink:
		return root.Symlink(header.Linkname, name)
	case tar.TypeLink:
		return root.Link(path.Clean(header.Linkname), name)
	case tar.TypeReg:
		return write(root, name, mode, content)
	}
	return nil
}

// write makes one file.
func write(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Chmod(mode)
	}
	return errors.Join(err, file.Close())
}
