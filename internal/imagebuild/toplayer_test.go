package imagebuild

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestReadingIsCancelled: what is read of a context is not read on when its step has
// ended, and leaves nothing.
func TestReadingIsCancelled(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "context")
	file, err := os.Create(whole)
	if err != nil {
		t.Fatal(err)
	}
	w, keep := tar.NewWriter(file), map[string]bool{}
	for i := range 1000 {
		name := fmt.Sprintf("%04d", i)
		keep[name] = true
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1000}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cancelled")
	content, err := openBuffered(ctx, whole)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if _, err := content.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	cancel(cause)
	if n, err := io.Copy(io.Discard, content); !errors.Is(err, cause) || n > 512<<10 {
		t.Errorf("%d bytes were read on, and the error is %v", n, err)
	}
	if _, _, err := pick(ctx, whole, keep); !errors.Is(err, cause) {
		t.Errorf("picking ends with %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(whole)); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}
