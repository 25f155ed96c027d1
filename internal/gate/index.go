package gate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kiln/internal/treeindex"
	"kiln/internal/treestore"
)

const (
	// indexMemory is what the indexes that are made at the same time may take, in
	// bytes: layers of some 40,000 files together.
	indexMemory = 16 << 20
	// maxIndexes bounds how many indexes a build has kept, beyond the layers that an
	// image has.
	maxIndexes = 200
	// indexTime is how long keeping an index may take, and indexWait how long the
	// report of the build's manifest waits for those that are being kept.
	indexTime = 30 * time.Second
	indexWait = 2 * time.Second
)

// indexes makes the indexes of the layers that the build uploads, and of those that it
// pulls and that are wanted, and has the build's repository keep them. It is safe for
// concurrent use.
type indexes struct {
	store  treestore.Store
	report *report
	// wait is how long settle waits at most.
	wait time.Duration
	// memory is what is left of indexMemory.
	memory atomic.Int64
	// packing is held while one index is encoded.
	packing sync.Mutex
	// over is closed when the gate ends.
	over chan struct{}
	mu   sync.Mutex
	// wanted are the layers that get an index where they are pulled, by their digests,
	// and whether nobody makes that.
	wanted map[string]bool
	// kept are closed when an index is kept, or cannot be. Of pulls, only those that had
	// an index stay.
	kept map[chan struct{}]bool
}

func newIndexes(store treestore.Store, report *report, wait time.Duration, wanted []string) *indexes {
	i := &indexes{
		store: store, report: report, wait: cmp.Or(wait, indexWait), over: make(chan struct{}),
		wanted: map[string]bool{}, kept: map[chan struct{}]bool{},
	}
	i.memory.Store(indexMemory)
	for _, digest := range wanted {
		i.wanted[digest] = strings.HasPrefix(digest, "sha256:") // what passes is hashed so
	}
	return i
}

// passed is what has passed of an upload, from its start. It is safe for concurrent use.
type passed struct {
	of    *indexes
	maker *treestore.Maker
	// taken is what it has of the memory.
	taken atomic.Int64
	mu    sync.Mutex
	sum   hash.Hash
	ended bool
}

// begin begins an upload; nil is one without an index.
func (i *indexes) begin() *passed {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	many := len(i.kept)
	i.mu.Unlock()
	if many >= maxIndexes {
		return nil
	}
	p := &passed{of: i, sum: sha256.New()}
	p.maker = treestore.BeginWithin(p.take)
	return p
}

// take takes some of the memory, if there is as much.
func (i *indexes) take(bytes int) bool {
	if i.memory.Add(-int64(bytes)) < 0 {
		i.memory.Add(int64(bytes))
		return false
	}
	return true
}

// take takes some of the memory for an upload.
func (p *passed) take(bytes int) bool {
	taken := p.of.take(bytes)
	if taken {
		p.taken.Add(int64(bytes))
	}
	return taken
}

// release gives back what was taken.
func (p *passed) release() { p.of.memory.Add(p.taken.Swap(0)) }

// Write implements [io.Writer]; it never fails. Pieces that come at once, or that the
// registry does not take, make another digest than the blob's.
func (p *passed) Write(piece []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		_, _ = p.sum.Write(piece)
		_, _ = p.maker.Write(piece)
	}
	return len(piece), nil
}

// errAbandoned is why an upload has no index.
var errAbandoned = errors.New("the upload has failed")

// abandon ends an upload without an index.
func (p *passed) abandon() {
	if p != nil && p.end() {
		_, _ = p.maker.End(errAbandoned)
		p.release()
	}
}

// end lets nothing more pass, and reports whether something could before.
func (p *passed) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.ended
	p.ended = true
	return !before
}

// index is what passed as a layer: nil where it is none, or not that of the digest.
func (p *passed) index(digest string) *treeindex.Index {
	index, err := p.maker.End(nil)
	if err != nil || digest != "sha256:"+hex.EncodeToString(p.sum.Sum(nil)) {
		return nil
	}
	return index.Of(digest)
}

// pending counts an index that is on its way until what it returns is closed.
func (i *indexes) pending() (done chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	done = make(chan struct{})
	i.kept[done] = true
	return done
}

// keep has the index of what passed kept, while the build goes on: the registry has taken
// it as the blob of a digest. What has no index has given its memory back by then.
func (p *passed) keep(ctx context.Context, digest string) {
	if p == nil || !p.end() {
		return
	}
	index := p.index(digest)
	if index == nil {
		p.release()
		return
	}
	done := p.of.pending()
	go func() {
		defer close(done)
		defer p.release()
		ctx, cancel := p.of.lasting(ctx)
		defer cancel()
		p.of.put(ctx, index)
	}()
}

// lasting is a context that lasts as long as keeping an index may take, or the gate,
// whatever becomes of the request.
func (i *indexes) lasting(ctx context.Context) (lasts context.Context, cancel context.CancelFunc) {
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), indexTime)
	go func() {
		select {
		case <-i.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// put puts an index into the repository unless there is one. The build does not fail
// where it cannot: who needs the index makes it of the layer.
func (i *indexes) put(ctx context.Context, index *treeindex.Index) {
	if i.store.Has(ctx, index.Layer) {
		return
	}
	i.packing.Lock()
	image, err := treestore.Pack(index)
	i.packing.Unlock()
	if err == nil {
		err = i.store.Put(ctx, index.Layer, image)
	}
	if err != nil {
		i.report.line("noindex " + index.Layer + " " + err.Error())
	}
}

// settle waits until the indexes of all that has passed so far are kept, for a while.
func (i *indexes) settle() {
	if i == nil {
		return
	}
	i.mu.Lock()
	kept := maps.Clone(i.kept)
	i.mu.Unlock()
	late := time.NewTimer(i.wait)
	defer late.Stop()
	for done := range kept {
		select {
		case <-done:
		case <-late.C:
			return
		case <-i.over:
			return
		}
	}
}

// end gives up what is being kept.
func (i *indexes) end() {
	if i != nil {
		close(i.over)
	}
}
