package buildcontext

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
)

// Dir is the directory of the context in what a builder gets. Files that are
// not the context's stand beside it.
const Dir = "context"

// File is a file that stands beside the context.
type File struct {
	// Name is its path beside [Dir], clean and relative.
	Name string
	// Content is what it holds.
	Content []byte
}

// Head writes the files that stand beside the context: a gzip member with the
// beginning of a tar archive, which goes on with what [Canonical] wrote. A
// reader of gzip and tar takes both, one after the other, for one archive, as
// RFC 1952 has it.
//
// The files are root's, of mode 644 as BuildKit gives to heredocs, and come in
// the order given; the same files give the same bytes. Errors come from dst.
func Head(dst io.Writer, files []File) error {
	gz, err := gzip.NewWriterLevel(dst, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	tw := tar.NewWriter(gz)
	for _, f := range files {
		header := &tar.Header{
			Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: f.Name,
			Mode: 0o644, Size: int64(len(f.Content)), ModTime: Time(),
		}
		if err := tw.WriteHeader(header); err != nil {
			return fmt.Errorf("write archive entry: %w", err)
		}
		if _, err := tw.Write(f.Content); err != nil {
			return fmt.Errorf("write archive entry: %w", err)
		}
	}
	// No Close: the end mark is the context's.
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write archive entry: %w", err)
	}
	if err := gz.Close(); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}
