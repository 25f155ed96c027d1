package treeindex_test

import (
	"archive/tar"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// fill writes a layer of files of a size, half of it at random.
func fill(out io.Writer, files, size int) error {
	source := rand.NewChaCha8([32]byte{1})
	half := make([]byte, size/2)
	text := strings.Repeat("the quick brown fox jumps over the lazy dog\n", size/44+1)[:size-size/2]
	w := tar.NewWriter(out)
	for i := range files {
		header := &tar.Header{Name: fmt.Sprintf("usr/lib/package-%03d/directory-%d/file-%d.py", i/100, i/10%10, i), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(size)}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, _ = source.Read(half) // never fails
		if _, err := w.Write(half); err != nil {
			return err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return w.Close()
}
