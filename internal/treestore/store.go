package treestore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"kiln/internal/layer"
	"kiln/internal/registry"
	"kiln/internal/treeindex"
)

// Registry is what a [Store] needs of registries, as [registry.Client] does it.
type Registry interface {
	Pushed(ctx context.Context, reference string, configuration bool) (registry.Original, error)
	Open(ctx context.Context, of *registry.Original, blob registry.Blob) (io.ReadCloser, error)
	Read(ctx context.Context, of *registry.Original, blob registry.Blob, to func() io.Writer) error
	Upload(ctx context.Context, repository string, blob registry.Blob, open func() (io.ReadCloser, error)) error
	PutManifest(ctx context.Context, reference, mediaType string, manifest []byte) error
}

// Store is the indexes of one repository that kiln pushes to. It is safe for concurrent
// use.
type Store struct {
	Registry Registry
	// Repository is the registry with the path.
	Repository string
}

// Find returns the index of a layer, by the layer's digest. It is an error where there
// is none, or none that can be read.
func (s Store) Find(ctx context.Context, layer string) (*treeindex.Index, error) {
	kept, err := s.Registry.Pushed(ctx, s.reference(layer), false)
	if err != nil {
		return nil, err
	}
	if len(kept.Layers) != 1 || kept.Layers[0].Size > MaxEncoded {
		return nil, fmt.Errorf("the index of %s: %w", layer, errForm)
	}
	content, err := s.Registry.Open(ctx, &kept, kept.Layers[0])
	if err != nil {
		return nil, err
	}
	index, err := unpack(layer, content)
	if err = errors.Join(err, content.Close()); err != nil {
		return nil, fmt.Errorf("the index of %s: %w", layer, err)
	}
	return index, nil
}

func (s Store) reference(layer string) string { return s.Repository + ":" + Tag(layer) }

// Has reports whether something is kept for a layer, by the layer's digest.
func (s Store) Has(ctx context.Context, layer string) bool {
	_, err := s.Registry.Pushed(ctx, s.reference(layer), false)
	return err == nil
}

// Keep puts an index into the repository, where it takes the place of another.
func (s Store) Keep(ctx context.Context, index *treeindex.Index) error {
	image, err := Pack(index)
	if err != nil {
		return err
	}
	return s.Put(ctx, index.Layer, image)
}

// Put puts what [Pack] made of the index of a layer into the repository.
func (s Store) Put(ctx context.Context, layer string, image Image) error {
	var group sync.WaitGroup
	errs := make([]error, 2)
	for i, content := range [][]byte{image.Layer, image.Config} {
		blob := registry.Blob{Digest: hashOf(content).String(), Size: int64(len(content))}
		group.Go(func() {
			errs[i] = s.Registry.Upload(ctx, s.Repository, blob, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.Registry.PutManifest(ctx, s.reference(layer), image.MediaType, image.Manifest)
}

// Maker makes the index of a layer of what is written to it, as a registry has the
// layer. It has to be ended.
type Maker struct {
	in   *io.PipeWriter
	made chan made
}

// made is what came of it.
type made struct {
	index *treeindex.Index
	err   error
}

// Begin begins the index of a layer, by its digest.
func Begin(digest string) *Maker {
	return begin(digest, func(int) bool { return true })
}

// BeginWithin begins the index of a layer whose digest is not known, within memory that
// is taken as by [treeindex.ReadWithin].
func BeginWithin(take func(bytes int) bool) *Maker { return begin("", take) }

func begin(digest string, take func(bytes int) bool) *Maker {
	out, in := io.Pipe()
	m := &Maker{in: in, made: make(chan made, 1)}
	go func() {
		index, err := read(digest, out, take)
		// What is not read any further is let pass.
		if _, rest := io.Copy(io.Discard, out); err == nil {
			err = rest
		}
		m.made <- made{index, err}
	}()
	return m
}

// buffer is how much of a layer is waiting to be unpacked, in bytes.
const buffer = 256 << 10

func read(digest string, packed io.Reader, take func(bytes int) bool) (*treeindex.Index, error) {
	if !take(buffer) {
		return nil, errMemory()
	}
	buffered := bufio.NewReaderSize(packed, buffer)
	if !take(layer.Memory(buffered)) {
		return nil, errMemory()
	}
	archive, end, err := layer.Decompress(buffered)
	if err != nil {
		return nil, err
	}
	defer end()
	return treeindex.ReadWithin(digest, archive, take)
}

func errMemory() *treeindex.Odd {
	return &treeindex.Odd{Reason: "there is no memory for reading the layer"}
}

// Write implements [io.Writer].
func (m *Maker) Write(p []byte) (int, error) { return m.in.Write(p) }

// End ends the layer, with what broke it off or nil, and returns its index. An error of
// the layer itself is of type [*treeindex.Odd].
func (m *Maker) End(broken error) (*treeindex.Index, error) {
	_ = m.in.CloseWithError(broken) // it never fails
	done := <-m.made
	if _, odd := errors.AsType[*treeindex.Odd](done.err); done.err != nil && broken == nil && !odd {
		done.err = &treeindex.Odd{Reason: "the layer cannot be unpacked: " + done.err.Error()}
	}
	return done.index, done.err
}

// errRestarted breaks off the reading of a layer that begins again.
var errRestarted = errors.New("the layer is read from its start again")

// Passes makes the index of a layer that is read from its start again where that breaks
// off. It has to be ended.
type Passes struct {
	// Layer is the layer's digest.
	Layer string
	// last makes it of what is read now; nil before the first time.
	last *Maker
}

// Next begins the index anew, of what is written to it.
func (p *Passes) Next() io.Writer {
	if p.last != nil {
		_, _ = p.last.End(errRestarted)
	}
	p.last = Begin(p.Layer)
	return p.last
}

// End is [Maker.End] of the last time, and nothing where there was none.
func (p *Passes) End(broken error) (*treeindex.Index, error) {
	if p.last == nil {
		return nil, nil
	}
	return p.last.End(broken)
}

// Make reads a layer of an image to its end, from the start again where that breaks off,
// and makes its index. An error of the layer itself is of type [*treeindex.Odd].
func (s Store) Make(ctx context.Context, of *registry.Original, blob registry.Blob) (*treeindex.Index, error) {
	passes := Passes{Layer: blob.Digest}
	err := s.Registry.Read(ctx, of, blob, passes.Next)
	index, failed := passes.End(err)
	if err != nil {
		return nil, err
	}
	return index, failed
}
