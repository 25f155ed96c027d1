package assembled

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"kiln/e2e/parity/internal/candidate"
	"kiln/e2e/parity/internal/oracle"
	"kiln/internal/buildcontext"
)

// Oracle has BuildKit build base parts.
type Oracle struct {
	BuildKit *oracle.Oracle
	// Dir is an existing directory for contexts.
	Dir string
}

// BuildSource implements [Parts].
func (o Oracle) BuildSource(ctx context.Context, part *candidate.Source, push string) (err error) {
	dir, err := os.MkdirTemp(o.Dir, "part-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := unpack(part, dir); err != nil {
		return err
	}
	// A name that no context can have.
	file := filepath.Join(dir, ".kiln.Dockerfile")
	err = errors.Join(os.WriteFile(file, part.Text, 0o600), os.WriteFile(file+".dockerignore", []byte(".kiln.Dockerfile*\n"), 0o600))
	if err != nil {
		return err
	}
	err = o.BuildKit.Build(ctx, file, push)
	if failed, ok := errors.AsType[*oracle.BuildError](err); ok {
		return &candidate.BuildError{Reason: failed.Reason, Output: failed.Output}
	}
	return err
}

// unpack unpacks a context.
func unpack(part *candidate.Source, dir string) error {
	src, err := part.Open()
	if err != nil {
		return err
	}
	defer src.Close()
	gz, err := gzip.NewReader(src)
	if err != nil {
		return err
	}
	return extract(tar.NewReader(gz), dir)
}

// extract writes what is in a canonical context.
func extract(in *tar.Reader, dir string) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := filepath.Join(dir, strings.TrimPrefix(h.Name, buildcontext.Dir+"/"))
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(at, 0o755)
		case tar.TypeSymlink:
			if err := os.Symlink(h.Linkname, at); err != nil {
				return err
			}
			continue
		default:
			var content []byte
			if content, err = io.ReadAll(in); err == nil {
				err = os.WriteFile(at, content, 0o600)
			}
		}
		if err == nil {
			err = errors.Join(os.Chmod(at, h.FileInfo().Mode()), os.Chtimes(at, h.ModTime, h.ModTime))
		}
		if err != nil {
			return err
		}
	}
}
