package gate

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/treeindex"
)

// TestPulledMemory: what indexes of pulls take is given back, however they end, and
// several at once share the memory of all indexes. Where there is none, or a layer is odd,
// the pull goes on.
func TestPulledMemory(t *testing.T) {
	var blobs [][]byte
	var digests []string
	for n := range 6 {
		names := make([]string, 30_000)
		for f := range names {
			names[f] = fmt.Sprintf("usr/lib/package-%d/directory-%d/file-%d", n, f/100, f)
		}
		blobs = append(blobs, layerOf(t, names...))
	}
	blobs = append(blobs, layerOf(t, "a", "../b", "c"))
	for _, blob := range blobs {
		digests = append(digests, digestOfBytes(blob))
	}
	i, k := keeping(digests...)
	defer i.end()
	var group sync.WaitGroup
	for n, blob := range blobs {
		group.Go(func() {
			passPulled(t, i.pull(digests[n]), newInspector(Inspection{}), blob, n != 0)
		})
	}
	group.Wait()
	i.settle()
	if kept, left := k.kept.Load(), i.memory.Load(); kept > 5 || left != indexMemory {
		t.Errorf("%d indexes kept, %d bytes left of %d", kept, left, indexMemory)
	}
}

// passPulled has a layer looked through for its index, wholly or as if broken off.
func passPulled(t *testing.T, p *pulled, with *inspector, layer []byte, whole bool) {
	t.Helper()
	body, ended := with.inspect(p.digest, p.reader(bytes.NewReader(layer)), p)
	if came, err := io.Copy(io.Discard, body); came != int64(len(layer)) || err != nil || ended() != "" {
		t.Errorf("%d bytes of %d came, %v", came, len(layer), err)
	}
	if left := p.of.memory.Load(); left < 0 {
		t.Errorf("%d bytes are left", left)
	}
	p.end(t.Context(), whole)
}

// TestPulledAgain: a layer gets its index by another pull only where that may go otherwise,
// and what has no index leaves room for others.
func TestPulledAgain(t *testing.T) {
	layer, odd := layerOf(t, "a"), layerOf(t, "a", "../b")
	many := make([]string, 80_000)
	for n := range many {
		many[n] = fmt.Sprintf("usr/lib/package/directory-%d/file-%d", n/100, n)
	}
	for name, tt := range map[string]struct {
		layer  []byte
		digest string // that of the layer unless it is another
		broken bool
		others int // the memory that others hold
		again  bool
		kept   int
	}{
		"kept":              {layer: layer, kept: 1},
		"broken off":        {layer: layer, broken: true, again: true},
		"odd":               {layer: odd},
		"odd, broken off":   {layer: odd, broken: true, again: true},
		"other content":     {layer: layer, digest: digestOfBytes(odd), again: true},
		"odd other content": {layer: odd, digest: digestOfBytes(layer), again: true},
		"cut off":           {layer: layer[:700]},
		"others' memory":    {layer: layer, others: indexMemory - 100, again: true},
		"too large":         {layer: layerOf(t, many...)},
		"another algorithm": {layer: layer, digest: "sha512:" + strings.Repeat("0", 128)},
	} {
		t.Run(name, func(t *testing.T) {
			digest := tt.digest
			if digest == "" {
				digest = digestOfBytes(tt.layer)
			}
			i, _ := keeping(digest)
			defer i.end()
			i.take(tt.others)
			if p := i.pull(digest); p != nil {
				passPulled(t, p, newInspector(Inspection{}), tt.layer, !tt.broken)
			}
			i.settle()
			if left := int(i.memory.Load()); len(i.kept) != tt.kept || left != indexMemory-tt.others {
				t.Errorf("%d places and %d bytes of %d are taken, want %d places", len(i.kept), indexMemory-left, tt.others, tt.kept)
			}
			if again := i.claim(digest); again != tt.again {
				t.Errorf("another pull makes the index: %t, want %t", again, tt.again)
			}
		})
	}
}

// TestPulledPlaces: pulls that break off leave the build's uploads the places for theirs.
func TestPulledPlaces(t *testing.T) {
	layer := layerOf(t, "a")
	i, _ := keeping(digestOfBytes(layer))
	defer i.end()
	for range maxIndexes + 1 {
		if p := i.pull(digestOfBytes(layer)); p != nil {
			passPulled(t, p, newInspector(Inspection{}), layer, false)
		}
		i.settle()
	}
	upload := i.begin()
	if upload == nil {
		t.Error("an upload gets no index")
	}
	upload.abandon()
}

// TestPulledAccounts: an index has the accounts of a layer that are looked into as well.
func TestPulledAccounts(t *testing.T) {
	const entry = "root:x:0:0::/:/bin/sh\nmary:x:4711:100::/:\n"
	layer := passwd(t, "etc/passwd", entry)
	i, _ := keeping(digestOfBytes(layer))
	defer i.end()
	p, inspector := i.pull(digestOfBytes(layer)), newInspector(Inspection{User: "4711"})
	body, ended := inspector.inspect(p.digest, p.reader(bytes.NewReader(layer)), p)
	if _, err := io.Copy(io.Discard, body); err != nil || ended() != "" || inspector.wanted.lacking() != "" {
		t.Fatalf("the layer does not come through: %v %q", err, inspector.wanted.lacking())
	}
	want, err := treeindex.Read(p.digest, bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.builder.Finish(p.digest)
	if diff := cmp.Diff(want, got); err != nil || diff != "" || !p.ended {
		t.Errorf("ended %t, %v (-want +got):\n%s", p.ended, err, diff)
	}
	p.end(t.Context(), false)
	i.settle()
}
