package treestore_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/internal/podtest"
	"kiln/internal/registry"
	"kiln/internal/treeindex"
	"kiln/internal/treestore"
)

const repository = "registry.example.com/ci/app"

// pack is an archive of files, by name and content.
func pack(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// image is an image of the registry, and its one layer.
func image(t testing.TB, r *podtest.Registry, client *registry.Client, reference string, layer []byte) (registry.Original, registry.Blob) {
	t.Helper()
	digest := r.Put(reference, podtest.Image{Layers: [][]byte{layer}, Config: v1.Config{}})
	of, err := client.Original(t.Context(), reference, digest)
	if err != nil {
		t.Fatal(err)
	}
	return of, of.Layers[0]
}

// TestStore makes an index of a layer, keeps it, twice, and finds it.
func TestStore(t *testing.T) {
	r := podtest.NewRegistry()
	client := r.Client(nil)
	store := treestore.Store{Registry: client, Repository: repository}
	of, layer := image(t, r, client, "base.example.com/base:1", pack(t, "etc/passwd", "root:x:0:0::/:/bin/sh\n", "file", "x"))
	if _, err := store.Find(t.Context(), layer.Digest); err == nil {
		t.Error("an index was found where none is kept")
	}
	made, err := store.Make(t.Context(), &of, layer)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.Keep(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		found, err := store.Find(t.Context(), layer.Digest)
		if diff := cmp.Diff(made, found); err != nil || diff != "" {
			t.Errorf("%v (-made +found):\n%s", err, diff)
		}
	}
	if len(made.Entries) != 2 || string(made.Accounts["etc/passwd"]) == "" {
		t.Errorf("the index has %+v", made)
	}
	other, err := treestore.Pack(made)
	if err != nil {
		t.Fatal(err)
	}
	again, err := treestore.Pack(made)
	if diff := cmp.Diff(other, again); err != nil || diff != "" {
		t.Errorf("the same index makes two images: %v\n%s", err, diff)
	}
}

// TestMakeOdd: a layer that cannot be told from its tar is odd; a connection that breaks is not.
func TestMakeOdd(t *testing.T) {
	for name, tt := range map[string]struct {
		layer []byte
		cut   int64
		odd   bool
	}{
		"no archive":       {bytes.Repeat([]byte("x"), 2048), 0, true},
		"above the root":   {pack(t, "../x", "x"), 0, true},
		"cut off":          {pack(t, "a", "x")[:512], 0, true},
		"half compressed":  {compressed(t, pack(t, "a", "x"))[:40], 0, true},
		"connection broke": {pack(t, "a", "x"), 700, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := podtest.NewRegistry()
			of, layer := image(t, r, r.Client(nil), "base.example.com/base:1", tt.layer)
			client := r.Client(func(call podtest.Call) podtest.Fault {
				if call.Op == "get blobs" {
					return podtest.Fault{Cut: tt.cut}
				}
				return podtest.Fault{}
			})
			_, err := treestore.Store{Registry: client, Repository: repository}.Make(t.Context(), &of, layer)
			if _, odd := errors.AsType[*treeindex.Odd](err); err == nil || odd != tt.odd {
				t.Errorf("the error is %v, odd %t, want %t", err, odd, tt.odd)
			}
		})
	}
}

// TestMakeAgain: a layer whose reading breaks off is read again from its start, three times
// in all.
func TestMakeAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		breaks int // so often
		want   bool
	}{
		"once":  {1, true},
		"twice": {2, true},
		"ever":  {3, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := podtest.NewRegistry()
				content := compressed(t, pack(t, "a", "x", "b", strings.Repeat("y", 1<<16)))
				of, layer := image(t, r, r.Client(nil), "base.example.com/base:1", content)
				client := r.Client(func(call podtest.Call) podtest.Fault {
					if call.Op == "get blobs" && call.Count <= tt.breaks {
						return podtest.Fault{Cut: int64(len(content) / 2)}
					}
					return podtest.Fault{}
				})
				index, err := treestore.Store{Registry: client, Repository: repository}.Make(t.Context(), &of, layer)
				if (err == nil) != tt.want || err == nil && len(index.Entries) != 2 {
					t.Errorf("index %+v, error %v; want one: %t", index, err, tt.want)
				}
			})
		})
	}
}

func compressed(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestFindHostile: what somebody else has put under the tag of an index is none.
func TestFindHostile(t *testing.T) {
	index, err := treeindex.Read("sha256:other", bytes.NewReader(pack(t, "a", "x")))
	if err != nil {
		t.Fatal(err)
	}
	other := index.Encode()
	index.Layer = layerOf
	whole := index.Encode()
	bomb := compressed(t, pack(t, "index", string(make([]byte, treestore.MaxEncoded+1))))
	for name, layers := range map[string][][]byte{
		"no layer":              nil,
		"two layers":            {compressed(t, pack(t, "index", string(whole))), pack(t)},
		"not compressed":        {pack(t, "index", string(whole))},
		"another name":          {compressed(t, pack(t, "file", string(whole)))},
		"the index of another":  {compressed(t, pack(t, "index", string(other)))},
		"cut off":               {compressed(t, pack(t, "index", string(whole[:len(whole)-1])))},
		"cut off as an archive": {compressed(t, pack(t, "index", string(whole))[:520])},
		"cut off as gzip":       {compressed(t, pack(t, "index", string(whole)))[:60]},
		"longer than any":       {bomb},
	} {
		t.Run(name, func(t *testing.T) {
			r := podtest.NewRegistry()
			r.Put(repository+":"+treestore.Tag(layerOf), podtest.Image{Layers: layers})
			store := treestore.Store{Registry: r.Client(nil), Repository: repository}
			if found, err := store.Find(t.Context(), layerOf); err == nil {
				t.Errorf("found %+v", found)
			}
		})
	}
	r := podtest.NewRegistry()
	r.Put(repository+":"+treestore.Tag(layerOf), podtest.Image{Layers: [][]byte{compressed(t, pack(t, "index", string(whole)))}})
	if _, err := (treestore.Store{Registry: r.Client(nil), Repository: repository}).Find(t.Context(), layerOf); err != nil {
		t.Errorf("the index itself is refused: %v", err)
	}
}

const layerOf = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestTag(t *testing.T) {
	if tag := treestore.Tag(layerOf); tag != "kiln-index-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" || !treestore.IsTag(tag) {
		t.Errorf("the tag is %q", tag)
	}
	if treestore.IsTag("k1-0123") {
		t.Error("the tag of a build is taken for one of an index")
	}
}
