// Package image makes container images from files, without a Dockerfile and
// without a container engine.
//
// Every image is made reproducibly: owners and times are zero where the caller
// does not say otherwise, so the same inputs give the same digest and a second
// push is a look-up.
package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Files collects what one layer holds, by the path in the image, without the
// leading slash. The zero value is empty and ready for use; it is not safe for
// concurrent use.
type Files struct{ entries map[string]entry }

type entry struct {
	header tar.Header
	// source is the file to read, "" when content holds it.
	source  string
	content []byte
}

// Dir adds a directory.
func (f *Files) Dir(name string, mode fs.FileMode) {
	f.add(name, entry{header: tar.Header{Typeflag: tar.TypeDir, Mode: int64(mode)}})
}

// Content adds a regular file.
func (f *Files) Content(name string, content []byte, mode fs.FileMode) {
	f.add(name, entry{header: tar.Header{Typeflag: tar.TypeReg, Mode: int64(mode)}, content: content})
}

// Copy adds a file of this machine; it is read when the layer is written.
func (f *Files) Copy(name, source string, mode fs.FileMode) {
	f.add(name, entry{header: tar.Header{Typeflag: tar.TypeReg, Mode: int64(mode)}, source: source})
}

// Link adds a symbolic link.
func (f *Files) Link(name, target string) {
	f.add(name, entry{header: tar.Header{Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: target}})
}

// Names lists the paths, sorted.
func (f *Files) Names() []string {
	names := make([]string, 0, len(f.entries))
	for name := range f.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// add puts the entry and the directories above it.
func (f *Files) add(name string, e entry) {
	if f.entries == nil {
		f.entries = map[string]entry{}
	}
	name = strings.Trim(path.Clean("/"+name), "/")
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := f.entries[dir]; !ok {
			f.entries[dir] = entry{header: tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}}
		}
	}
	f.entries[name] = e
}

// WriteTar writes the files as an uncompressed tar, sorted by path.
func (f *Files) WriteTar(w io.Writer) error {
	out := tar.NewWriter(w)
	for _, name := range f.Names() {
		if err := writeEntry(out, name, f.entries[name]); err != nil {
			return fmt.Errorf("write layer entry %s: %w", name, err)
		}
	}
	return out.Close()
}

func writeEntry(out *tar.Writer, name string, e entry) error {
	header := e.header
	header.Name, header.Format = name, tar.FormatPAX
	if header.Typeflag == tar.TypeDir {
		header.Name += "/"
	}
	if e.source == "" {
		header.Size = int64(len(e.content))
		if err := out.WriteHeader(&header); err != nil {
			return err
		}
		_, err := out.Write(e.content)
		return err
	}
	file, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header.Size = info.Size()
	if err := out.WriteHeader(&header); err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	return err
}

// Layer writes the files to a tar file at path and returns it as a layer. The
// file must stay as long as the layer is used.
func (f *Files) Layer(path string, options ...tarball.LayerOption) (v1.Layer, error) {
	out, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create layer: %w", err)
	}
	err = errors.Join(f.WriteTar(out), out.Close())
	if err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	return tarball.LayerFromFile(path, options...)
}

// FilterTar copies a tar without the entries that drop names, with times set
// to zero. Owners, modes and links stay.
func FilterTar(dst io.Writer, src io.Reader, drop func(name string, dir bool) bool) error {
	in, out := tar.NewReader(src), tar.NewWriter(dst)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if drop(name, header.Typeflag == tar.TypeDir) {
			continue
		}
		header.ModTime, header.AccessTime, header.ChangeTime = epoch(), epoch(), epoch()
		header.Format = tar.FormatPAX
		if err := out.WriteHeader(header); err != nil {
			return fmt.Errorf("write tar entry %s: %w", name, err)
		}
		if _, err := io.Copy(out, in); err != nil {
			return fmt.Errorf("write tar entry %s: %w", name, err)
		}
	}
}

// Below returns a drop function for FilterTar: everything below the named
// directories goes, the directories themselves stay, and so do the files whose
// base name is in keep.
func Below(dirs []string, keep ...string) func(name string, dir bool) bool {
	return func(name string, _ bool) bool {
		for _, dir := range dirs {
			if strings.HasPrefix(name, dir+"/") {
				return !slices.Contains(keep, filepath.Base(name))
			}
		}
		return false
	}
}

// ExtractFile writes one file of a tar, which must be a regular one, as an
// executable.
func ExtractFile(archive, name, out string) error {
	in, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("open tar: %w", err)
	}
	defer in.Close()
	for reader := tar.NewReader(in); ; {
		header, err := reader.Next()
		if err != nil {
			return fmt.Errorf("find %s in %s: %w", name, filepath.Base(archive), err)
		}
		if strings.TrimPrefix(path.Clean("/"+header.Name), "/") != name || header.Typeflag != tar.TypeReg {
			continue
		}
		file, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
		if err != nil {
			return fmt.Errorf("extract %s: %w", name, err)
		}
		_, err = io.Copy(file, reader)
		return errors.Join(err, file.Close())
	}
}
