package treeindex_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
	"strings"
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
		if tree, err := treeindex.Overlay(t.Context(), index); err == nil {
			_, _ = treeindex.Follow(tree.Find, "/a/b") // only a panic counts
		}
	})
}

// FuzzRead wants what is read of a layer to be decoded as it was, and of two layers on
// each other a tree in which every path leads somewhere, or a reason.
func FuzzRead(f *testing.F) {
	lower := pack(f, dir("a", 0o755), file("a/f"), dir("a/d", 0o700), file("a/d/g"), link("l", "a"), text("etc/passwd", "root:x:0:0\n"))
	f.Add(lower, pack(f, file("a/.wh.f"), file("b/.wh..wh..opq"), hard("h", "a/d/g")))
	f.Add(lower, pack(f, file("a/.wh..wh..opq"), file("a/n"), hard("h", "a/f")))
	f.Add(lower, pack(f, file(".wh.a"), file(".wh.l"), dir("l", 0o755), file("l/x"), file("etc/.wh.passwd")))
	f.Add(lower, pack(f, file("a"), hard("a-b", "l"), link("etc", "a")))
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		var layers []*treeindex.Index
		for _, data := range [][]byte{lower, upper} {
			index, err := treeindex.Read("l", bytes.NewReader(data))
			if err != nil {
				if !isOdd(err) {
					t.Errorf("got the error %v, want one of type *treeindex.Odd", err)
				}
				continue
			}
			again, err := treeindex.Decode("l", index.Encode())
			if err != nil || !bytes.Equal(again.Encode(), index.Encode()) {
				t.Errorf("an index that was read is not decoded: %v", err)
			}
			layers = append(layers, index)
		}
		tree, err := treeindex.Overlay(t.Context(), layers...)
		if err != nil {
			if !isOdd(err) {
				t.Errorf("got the error %v, want one of type *treeindex.Odd", err)
			}
			return
		}
		for _, layer := range layers {
			whole(t, tree, layer)
		}
		if len(layers) > 0 {
			overlaid(t, tree, layers[len(layers)-1])
		}
	})
}

// whole wants all that a layer names to be found or not in a tree whose entries are
// those of a container: each in a directory, none of an index alone.
func whole(t *testing.T, tree *treeindex.Tree, layer *treeindex.Index) {
	t.Helper()
	for _, e := range layer.Entries {
		if _, err := treeindex.Follow(tree.Find, "/"+e.Path+"/x"); err != nil && !isOdd(err) {
			t.Errorf("Follow: %v", err)
		}
		found, there := tree.Find(e.Path)
		if !there {
			continue
		}
		switch found.Kind {
		case treeindex.Hard, treeindex.Gone, treeindex.Hidden:
			t.Errorf("the tree has %q of the kind %c", e.Path, found.Kind)
		}
		above := e.Path[:max(strings.LastIndexByte(e.Path, '/'), 0)]
		if dir, there := tree.Find(above); !there || dir.Kind != treeindex.Dir {
			t.Errorf("the tree has %q in what is no directory", e.Path)
		}
	}
}

// overlaid wants of the uppermost layer what it says of each path.
func overlaid(t *testing.T, tree *treeindex.Tree, layer *treeindex.Index) {
	t.Helper()
	for _, e := range layer.Entries {
		found, there := tree.Find(e.Path)
		switch e.Kind {
		case treeindex.Gone:
			if there {
				t.Errorf("the tree has %q, which the layer deletes", e.Path)
			}
		case treeindex.Hard:
			if target, is := tree.Find(e.Target); !is || !there || found.Kind != target.Kind || found.Mode != target.Mode {
				t.Errorf("the hard link %q is %+v, and leads to %+v", e.Path, found, target)
			}
		case treeindex.Hidden:
			if !there || found.Kind != treeindex.Dir {
				t.Errorf("the directory %q is %+v", e.Path, found)
			}
		default:
			if e.Opaque = false; !there || found != e {
				t.Errorf("the tree has %+v, the layer %+v", found, e)
			}
		}
	}
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
		tree, err := treeindex.Overlay(b.Context(), index)
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
