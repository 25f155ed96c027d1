package imagebuild

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"kiln/internal/assemble"
	"kiln/internal/registry"
	"kiln/internal/split"
)

// maxTop bounds the layer of a rest, compressed, in bytes.
const maxTop = 1 << 30

// topLayer is the layer of a rest in a file; the zero value is none.
type topLayer struct {
	path string
	of   *assemble.Layer
}

// diffID is the digest of its content, empty for none.
func (l topLayer) diffID() string {
	if l.of == nil {
		return ""
	}
	return l.of.DiffID
}

// remove removes the file.
func (l topLayer) remove() {
	if l.path != "" {
		_ = os.Remove(l.path) // what is left goes with the request
	}
}

// write writes the layer of an image to a file beside the build's context.
func (a *assembly) write(ctx context.Context, image *assemble.Image) (topLayer, error) {
	if !image.Changes() {
		return topLayer{}, nil
	}
	whole := a.order.source.Context.Path
	file, err := os.CreateTemp(filepath.Dir(whole), "layer-")
	if err != nil {
		return topLayer{}, fmt.Errorf("write the layer: %w", err)
	}
	layer := topLayer{path: file.Name()}
	out := bufio.NewWriterSize(&bounded{file, maxTop, func() error { return context.Cause(ctx) }}, 256<<10)
	of, err := image.WriteLayer(ctx, out, func() (io.ReadCloser, error) { return openBuffered(ctx, whole) })
	if err == nil {
		err = out.Flush()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		layer.remove()
		return topLayer{}, err
	}
	layer.of = &of
	return layer, nil
}

// bounded takes so many bytes, while somebody waits for them: a small archive can unpack
// to many.
type bounded struct {
	w     io.Writer
	left  int64
	ended func() error
}

// Write implements [io.Writer].
func (b *bounded) Write(p []byte) (int, error) {
	if err := b.ended(); err != nil {
		return 0, err
	}
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, &split.Unsure{Reason: fmt.Sprintf("what it copies takes more than %d bytes", int64(maxTop))}
	}
	return b.w.Write(p)
}

// openBuffered opens a file for reading in larger pieces, which ends with the context.
func openBuffered(ctx context.Context, path string) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	pieces := reading(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return file.Read(p)
	})
	return buffered{bufio.NewReaderSize(pieces, 256<<10), file}, nil
}

// reading is a reader of one function.
type reading func(p []byte) (int, error)

// Read implements [io.Reader].
func (r reading) Read(p []byte) (int, error) { return r(p) }

// buffered is a file that is read in larger pieces.
type buffered struct {
	from *bufio.Reader
	file *os.File
}

// Read implements [io.Reader].
func (b buffered) Read(p []byte) (int, error) { return b.from.Read(p) }

// Close implements [io.Closer].
func (b buffered) Close() error { return b.file.Close() }

// upload sends the layer and the configuration, beside each other.
func (a *assembly) upload(ctx context.Context, config []byte, layer topLayer) error {
	client := a.order.builder.options.Registry
	var group sync.WaitGroup
	var errs [2]error
	group.Go(func() {
		blob := registry.Blob{Digest: digestOf(config), Size: int64(len(config))}
		errs[0] = client.Upload(ctx, a.repository(), blob, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(config)), nil })
	})
	if layer.of != nil {
		blob := registry.Blob{Digest: layer.of.Digest, Size: layer.of.Size}
		errs[1] = client.Upload(ctx, a.repository(), blob, func() (io.ReadCloser, error) { return os.Open(layer.path) })
	}
	group.Wait()
	return errors.Join(errs[:]...)
}
