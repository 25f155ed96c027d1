package gate

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"kiln/internal/treeindex"
)

// maxPadding is what may follow the end of a layer's archive, in bytes.
const maxPadding = 1 << 20

// pulled is the index of a layer that the client pulls. What looks through the layer on its
// way adds the entries, so that it is unpacked once and the index is never behind. A nil one
// is none.
type pulled struct {
	of      *indexes
	digest  string
	builder *treeindex.Builder
	taken   int
	// sum is of what has passed.
	sum hash.Hash
	// failed says that there is no index, short that there would be if others had left the
	// memory for it, and ended that the whole archive was added.
	failed, short, ended bool
	done                 chan struct{}
}

// pull begins the index of a layer; it is nil where that is not wanted, or where there is
// one, or another pull makes it. It has to be ended.
func (i *indexes) pull(digest string) *pulled {
	if i == nil || !i.claim(digest) {
		return nil
	}
	p := &pulled{of: i, digest: digest, sum: sha256.New(), done: i.pending()}
	p.builder = treeindex.Build(p.take)
	return p
}

// claim reports whether an index of the layer is to be made, which then only the caller
// makes.
func (i *indexes) claim(digest string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	free := i.wanted[digest] && len(i.kept) < maxIndexes
	if free {
		i.wanted[digest] = false
	}
	return free
}

// giveUp gives the place of a pull that had no index to another index. Again says that
// another pull of the layer may have more luck.
func (i *indexes) giveUp(p *pulled, again bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.kept, p.done)
	i.wanted[p.digest] = again
}

// take takes some of the memory, if there is as much.
func (p *pulled) take(bytes int) bool {
	taken := p.of.take(bytes)
	if taken {
		p.taken += bytes
	} else {
		p.short = p.taken+bytes <= indexMemory
	}
	return taken
}

// reader returns a body that is read as the given one.
func (p *pulled) reader(body io.Reader) io.Reader {
	if p == nil {
		return body
	}
	return io.TeeReader(body, p.sum)
}

// add adds an entry, and returns its content as it is read.
func (p *pulled) add(h *tar.Header, content io.Reader) io.Reader {
	if p == nil || p.failed {
		return content
	}
	var kept bytes.Buffer
	if err := p.builder.Add(h, io.TeeReader(content, &kept)); err != nil {
		p.fail()
	}
	return io.MultiReader(&kept, content)
}

// fail gives the index up, and its memory back.
func (p *pulled) fail() {
	p.failed, p.builder = true, nil
	p.of.memory.Add(int64(p.taken))
	p.taken = 0
}

// endArchive ends the archive, of which rest is left.
func (p *pulled) endArchive(rest io.Reader) {
	if p == nil || p.failed {
		return
	}
	_, err := io.CopyN(io.Discard, rest, maxPadding)
	p.ended = errors.Is(err, io.EOF)
}

// end ends the pull, once nothing is added any more, and says whether the client got the
// layer to its end. The index is kept while the build goes on. A layer that can have none
// is not looked through for it again.
func (p *pulled) end(ctx context.Context, whole bool) {
	if p == nil {
		return
	}
	go func() {
		defer close(p.done)
		whole = whole && p.digest == "sha256:"+hex.EncodeToString(p.sum.Sum(nil))
		kept := whole && p.keep(ctx)
		p.of.memory.Add(int64(p.taken))
		if !kept {
			p.of.giveUp(p, !whole || p.short)
		}
	}()
}

// keep has the index of what passed kept, and reports whether there is one.
func (p *pulled) keep(ctx context.Context) bool {
	if p.failed || !p.ended {
		return false
	}
	index, err := p.builder.Finish(p.digest)
	if err != nil {
		return false
	}
	ctx, cancel := p.of.lasting(ctx)
	defer cancel()
	p.of.put(ctx, index)
	return true
}
