package treeindex_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/treeindex"
)

func sample(t testing.TB) *treeindex.Index {
	attributed := dir("a/x", 0o755)
	attributed.PAXRecords = map[string]string{"SCHILY.xattr.user.x": "y"}
	return read(t, dir("a", 0o2775), attributed, owned(file("a/f"), 1000, 4_000_000_000), link("a/l", "../f"), file(".wh.gone"),
		file("b/.wh..wh..opq"), hard("c", "a/f"), text("etc/passwd", "root:x:0:0\n"), text("etc/group", ""))
}

func TestEncode(t *testing.T) {
	index := sample(t)
	data := index.Encode()
	again, err := treeindex.Decode(index.Layer, data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(index, again); diff != "" {
		t.Errorf("what was decoded differs (-want +got):\n%s", diff)
	}
	if !bytes.Equal(data, sample(t).Encode()) {
		t.Error("the same layer gives other bytes")
	}
}

func TestDecodeRefuses(t *testing.T) {
	data := sample(t).Encode()
	if _, err := treeindex.Decode("sha256:other", data); !isOdd(err) {
		t.Errorf("the index of another layer: got the error %v", err)
	}
	for cut := range data {
		if _, err := treeindex.Decode("sha256:layer", data[:cut]); !isOdd(err) {
			t.Fatalf("an index of %d of %d bytes: got the error %v", cut, len(data), err)
		}
	}
	if _, err := treeindex.Decode("sha256:layer", append(bytes.Clone(data), 0)); !isOdd(err) {
		t.Errorf("an index with more behind it: got the error %v", err)
	}
	for i, forged := range []treeindex.Index{
		{Entries: []treeindex.Entry{{Path: "b", Kind: treeindex.File}, {Path: "a", Kind: treeindex.File}}},
		{Entries: []treeindex.Entry{{Path: "a", Kind: treeindex.File}, {Path: "a", Kind: treeindex.File}}},
		{Entries: []treeindex.Entry{{Path: "../a", Kind: treeindex.File}}},
		{Entries: []treeindex.Entry{{Path: "a/", Kind: treeindex.Dir}}},
		{Entries: []treeindex.Entry{{Path: "a", Kind: 'x'}}},
		{Entries: []treeindex.Entry{{Path: "a", Kind: treeindex.Link}}},
		{Entries: []treeindex.Entry{{Path: "a", Kind: treeindex.Hard, Target: "../b"}}},
		{Entries: []treeindex.Entry{{Path: "a", Kind: treeindex.File, Target: "b"}}},
		{Entries: []treeindex.Entry{{Path: "", Kind: treeindex.File}}},
		{Accounts: map[string][]byte{"etc/shadow": nil}},
		{Accounts: map[string][]byte{"etc/passwd": make([]byte, treeindex.MaxAccounts+1)}},
	} {
		if got, err := treeindex.Decode("", forged.Encode()); !isOdd(err) {
			t.Errorf("forged index %d: got %v and the error %v", i, got, err)
		}
	}
}

// FuzzDecode wants no panic, and of what is taken a tree or a reason.
func FuzzDecode(f *testing.F) {
	f.Add(sample(f).Encode())
	f.Add((&treeindex.Index{}).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		index, err := treeindex.Decode("sha256:layer", data)
		if err != nil {
			return
		}
		if !bytes.Equal(index.Encode(), data) {
			t.Error("an index is encoded in two ways")
		}
		if tree, err := treeindex.Overlay(index); err == nil {
			_, _ = treeindex.Follow(tree.Find, "/a/b") // only a panic counts
		}
	})
}

// FuzzRead wants what is read of a layer to be decoded as it was.
func FuzzRead(f *testing.F) {
	f.Add(pack(f, dir("a", 0o755), file("a/f"), link("l", "a"), file("a/.wh.x"), file("b/.wh..wh..opq"), hard("h", "a/f")))
	f.Fuzz(func(t *testing.T, data []byte) {
		index, err := treeindex.Read("l", bytes.NewReader(data))
		if err != nil {
			if !isOdd(err) {
				t.Errorf("got the error %v, want one of type *treeindex.Odd", err)
			}
			return
		}
		again, err := treeindex.Decode("l", index.Encode())
		if err != nil || !bytes.Equal(again.Encode(), index.Encode()) {
			t.Errorf("an index that was read is not decoded: %v", err)
		}
		tree, err := treeindex.Overlay(index)
		if err != nil {
			return
		}
		for _, e := range index.Entries {
			if _, err := treeindex.Follow(tree.Find, "/"+e.Path+"/x"); err != nil && !isOdd(err) {
				t.Errorf("Follow: %v", err)
			}
		}
	})
}

// base packs 400 MiB in 30,000 files as a layer is sent: about half of the bytes can
// be compressed.
func base(b *testing.B) []byte {
	const files, size = 30_000, 14 << 10
	in, out := io.Pipe()
	go func() {
		_ = out.CloseWithError(fill(out, files, size))
	}()
	var packed bytes.Buffer
	gz, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(gz, in); err != nil {
		b.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		b.Fatal(err)
	}
	return packed.Bytes()
}

// BenchmarkRead makes the index of a base of 400 MiB in 30,000 files, puts it into a
// tree, and tells what the two hold.
func BenchmarkRead(b *testing.B) {
	data := base(b)
	var encoded, held uint64
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		gz, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		index, err := treeindex.Read("l", gz)
		if err != nil {
			b.Fatal(err)
		}
		tree, err := treeindex.Overlay(index)
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		encoded, held = uint64(len(index.Encode())), after.HeapAlloc-before.HeapAlloc
		runtime.KeepAlive(tree)
	}
	b.ReportMetric(float64(encoded)/(1<<20), "MiB-encoded")
	b.ReportMetric(float64(held)/(1<<20), "MiB-held")
}
