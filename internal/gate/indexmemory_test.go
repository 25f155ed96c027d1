package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiln/internal/registry"
	"kiln/internal/treestore"
)

// keeper takes everything and has nothing.
type keeper struct{ kept atomic.Int64 }

func (k *keeper) Pushed(context.Context, string, bool) (registry.Original, error) {
	return registry.Original{}, errors.New("not found")
}

func (k *keeper) Open(context.Context, *registry.Original, registry.Blob) (io.ReadCloser, error) {
	return nil, errors.New("nothing is read")
}

func (k *keeper) Read(context.Context, *registry.Original, registry.Blob, func() io.Writer) error {
	return errors.New("nothing is read")
}

func (k *keeper) Upload(context.Context, string, registry.Blob, func() (io.ReadCloser, error)) error {
	return nil
}

func (k *keeper) PutManifest(context.Context, string, string, []byte) error {
	k.kept.Add(1)
	return nil
}

// keeping makes indexes, also of the layers that are wanted, and keeps them.
func keeping(wanted ...string) (*indexes, *keeper) {
	k := &keeper{}
	return newIndexes(treestore.Store{Registry: k, Repository: "registry.example.com/app"}, &report{out: io.Discard}, time.Minute, wanted), k
}

func digestOfBytes(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// What indexes take is given back, however they end: those that are kept, those for which
// there is no room, and those that are abandoned.
func TestIndexMemory(t *testing.T) {
	names := make([]string, 30_000)
	for i := range names {
		names[i] = fmt.Sprintf("usr/lib/package/directory-%d/file-%d", i/100, i)
	}
	large, small := layerOf(t, names...), layerOf(t, "a")
	i, k := keeping()
	defer i.end()
	first, second, abandoned := i.begin(), i.begin(), i.begin()
	_, _ = first.Write(large)
	_, _ = abandoned.Write(small)
	if left := i.memory.Load(); left > indexMemory-30_000*200 {
		t.Errorf("%d bytes are left beside an index of 30,000 files", left)
	}
	_, _ = second.Write(large) // has no room
	abandoned.abandon()
	abandoned.abandon()
	abandoned.keep(t.Context(), digestOfBytes(small))
	if n, err := abandoned.Write(small); n != len(small) || err != nil {
		t.Errorf("what passes afterwards: %d, %v", n, err)
	}
	for _, p := range []*passed{first, second} {
		p.keep(t.Context(), digestOfBytes(large))
	}
	i.settle()
	if kept, left := k.kept.Load(), i.memory.Load(); kept != 1 || left != indexMemory {
		t.Errorf("%d indexes kept, %d bytes left of %d", kept, left, indexMemory)
	}
}

// A build has so many indexes kept, and uploads as much as it likes.
func TestIndexesAreBounded(t *testing.T) {
	i, k := keeping()
	defer i.end()
	for n := range maxIndexes + 10 {
		layer := layerOf(t, strings.Repeat("x", n%200+1), fmt.Sprint(n))
		p := i.begin()
		if (p == nil) != (n >= maxIndexes) {
			t.Fatalf("upload %d has an index: %t", n, p != nil)
		}
		if p != nil {
			_, _ = p.Write(layer)
		}
		p.keep(t.Context(), digestOfBytes(layer))
		i.settle()
	}
	if kept := k.kept.Load(); kept != maxIndexes {
		t.Errorf("%d indexes were kept", kept)
	}
}
