package harness

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
)

// Files are written below the runner's work folder, by path.
type Files map[string]File

// A File is a regular file, where a zero Mode means 0644, or a symbolic link.
type File struct {
	Data []byte
	Mode fs.FileMode
	// Link is the target of a symbolic link, or empty.
	Link string
}

func (f Files) writeTar(w io.Writer) error {
	tw := tar.NewWriter(w)
	for name, file := range f {
		mode := file.Mode.Perm()
		if mode == 0 {
			mode = 0o644
		}
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: int64(mode), Size: int64(len(file.Data))}
		if file.Link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, file.Link
		}
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("send %s: %w", name, err)
		}
		if _, err := tw.Write(file.Data); err != nil {
			return fmt.Errorf("send %s: %w", name, err)
		}
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("send files: %w", err)
	}
	return nil
}
