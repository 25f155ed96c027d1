package gate

import (
	"bytes"
	"fmt"
	"io"
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
			p := i.pull(digests[n])
			body, ended := newInspector(Inspection{}).inspect(digests[n], p.reader(bytes.NewReader(blob)), p)
			if came, err := io.Copy(io.Discard, body); came != int64(len(blob)) || err != nil || ended() != "" {
				t.Errorf("%d bytes of %d came, %v", came, len(blob), err)
			}
			if left := i.memory.Load(); left < 0 {
				t.Errorf("%d bytes are left", left)
			}
			p.end(t.Context(), n != 0)
		})
	}
	group.Wait()
	i.settle()
	if kept, left := k.kept.Load(), i.memory.Load(); kept > 5 || left != indexMemory {
		t.Errorf("%d indexes kept, %d bytes left of %d", kept, left, indexMemory)
	}
	if !i.claim(digests[0]) || !i.claim(digests[6]) {
		t.Error("a layer without an index gets none when it is pulled again")
	}
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
