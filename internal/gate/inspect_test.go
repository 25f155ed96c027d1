package gate

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// layerOf makes a layer of names; "name|" is a pipe, "name#" a device.
func layerOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range names {
		h := tar.Header{Name: strings.TrimRight(name, "|#"), Typeflag: tar.TypeReg, Mode: 0o644}
		switch {
		case strings.HasSuffix(name, "/"):
			h.Typeflag = tar.TypeDir
		case strings.HasSuffix(name, "|"):
			h.Typeflag = tar.TypeFifo
		case strings.HasSuffix(name, "#"):
			h.Typeflag = tar.TypeChar
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// packed compresses a layer.
func packed(t *testing.T, how string, layer []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		return layer
	}
	if _, err := w.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestInspect(t *testing.T) {
	all, some := Inspection{Paths: []string{"/"}}, Inspection{Paths: []string{"/opt/a", "/srv"}}
	copied := Inspection{Paths: []string{"/opt/a"}, Whiteouts: true}
	lower := []string{"opt/", "opt/a/", "opt/a/old", "opt/a/sub/", "opt/a/sub/x"}
	for name, tt := range map[string]struct {
		what   Inspection
		layers [][]string
		want   string
	}{
		"nothing":            {all, [][]string{lower, {"opt/a/new"}}, ""},
		"opaque":             {all, [][]string{lower, {"opt/a/", "opt/a/.wh..wh..opq", "opt/a/new"}}, "hides what lower layers have in /opt/a"},
		"opaque above":       {some, [][]string{lower, {"opt/.wh..wh..opq"}}, "hides what lower layers have in /opt "},
		"opaque below":       {some, [][]string{lower, {"opt/a/sub/.wh..wh..opq"}}, "hides what lower layers have in /opt/a/sub "},
		"opaque elsewhere":   {some, [][]string{{"usr/x"}, {"usr/.wh..wh..opq"}}, ""},
		"opaque of new":      {all, [][]string{lower, {"opt/b/", "opt/b/.wh..wh..opq", "opt/b/f"}}, ""},
		"opaque of own":      {all, [][]string{{"opt/a/f", "opt/a/.wh..wh..opq"}}, ""},
		"opaque of empty":    {all, [][]string{{"opt/a/"}, {"opt/a/.wh..wh..opq"}}, ""},
		"whiteout":           {all, [][]string{lower, {"opt/a/.wh.old"}}, ""},
		"whiteout, copied":   {copied, [][]string{lower, {"opt/a/.wh.old"}}, "hides /opt/a/old of a lower layer"},
		"whiteout of parent": {copied, [][]string{lower, {".wh.opt"}}, "hides /opt of a lower layer"},
		"another whiteout":   {copied, [][]string{lower, {"opt/.wh.b"}}, ""},
		"pipe":               {all, [][]string{{"./srv/q/p|"}}, "holds a named pipe, /srv/q/p"},
		"device":             {some, [][]string{{"srv/null#"}}, "holds a device, /srv/null"},
		"device elsewhere":   {some, [][]string{{"var/null#"}}, ""},
		"device in /dev":     {all, [][]string{{"dev/", "dev/null#", "dev/.wh..wh..opq"}}, ""},
	} {
		for _, how := range []string{"", "gzip", "zstd"} {
			i, got := newInspector(tt.what), ""
			for n, names := range tt.layers {
				layer := packed(t, how, layerOf(t, names...))
				body, ended := i.inspect(string(rune('a'+n)), bytes.NewReader(layer), nil)
				read, err := io.ReadAll(body)
				if got = ended(); got == "" && (err != nil || !bytes.Equal(read, layer)) {
					t.Fatalf("%s: the body does not come through: %v", name, err)
				}
				if got != "" && n < len(tt.layers)-1 {
					t.Errorf("%s: a lower layer %s", name, got)
				}
			}
			if (tt.want == "") != (got == "") || !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s, %q: found %q, want %q", name, how, got, tt.want)
			}
		}
	}
}

// Executors pull layers in any order, and at once.
func TestInspectUpperLayerFirst(t *testing.T) {
	lower, upper := []string{"opt/a/old"}, []string{"opt/a/.wh..wh..opq", "opt/a/new"}
	for name, tt := range map[string]struct {
		layers [][]string
		want   string
	}{
		"hides":   {[][]string{upper, lower}, "hides what lower layers have in /opt/a "},
		"parent":  {[][]string{{"opt/.wh..wh..opq"}, lower}, "hides what lower layers have in /opt "},
		"nothing": {[][]string{upper, {"opt/b/f"}}, ""},
	} {
		i, got := newInspector(Inspection{Paths: []string{"/"}}), ""
		for n, names := range tt.layers {
			body, ended := i.inspect(string(rune('a'+n)), bytes.NewReader(layerOf(t, names...)), nil)
			_, _ = io.Copy(io.Discard, body)
			got += ended()
		}
		if (tt.want == "") != (got == "") || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: found %q, want %q", name, got, tt.want)
		}
	}
}

// What was found cuts the body off, what is no layer passes.
func TestInspectEnds(t *testing.T) {
	i := newInspector(Inspection{Paths: []string{"/"}})
	layer := append(layerOf(t, "p|"), bytes.Repeat([]byte{1}, 1<<20)...)
	body, ended := i.inspect("a", bytes.NewReader(layer), nil)
	if n, err := io.Copy(io.Discard, body); !errors.Is(err, errUnfit) || n == int64(len(layer)) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if ended() == "" {
		t.Error("nothing was found")
	}
	for _, content := range []string{"", "{}", "\x1f\x8b", "\x28\xb5\x2f\xfd\xff", strings.Repeat("x", 1<<20)} {
		body, ended := i.inspect("b", strings.NewReader(content), nil)
		if read, err := io.ReadAll(body); err != nil || string(read) != content {
			t.Errorf("%d bytes do not come through: %v", len(content), err)
		}
		if found := ended(); found != "" {
			t.Errorf("found %q in what is no layer", found)
		}
	}
}

// A layer that is pulled more than once, broken off or beside itself, is one layer: what it
// has in a directory is not what another one hides there.
func TestInspectTheSame(t *testing.T) {
	layer, other := layerOf(t, "a/f", "b", "a/.wh..wh..opq"), layerOf(t, "a/g")
	opaque, pipe := layerOf(t, "a/.wh..wh..opq", "c"), layerOf(t, "b", "p|")
	through := func(i *inspector, layer []byte, read int64) string {
		body, ended := i.inspect(digestOfBytes(layer), bytes.NewReader(layer), nil)
		if read > 0 {
			body = io.LimitReader(body, read)
		}
		_, _ = io.Copy(io.Discard, body) // what is found cuts it off
		return ended()
	}
	for name, tt := range map[string]struct {
		play func(i *inspector) string
		want string
	}{
		"broken off": {func(i *inspector) string {
			return through(i, layer, 1024) + through(i, layer, 2048) + through(i, layer, 0)
		}, ""},
		"broken off between two entries": {func(i *inspector) string {
			return through(i, pipe, 512) + through(i, pipe, 0)
		}, "holds a named pipe, /p"},
		"beside itself": {func(i *inspector) string {
			var found [2]string
			var pulls sync.WaitGroup
			for n := range found {
				pulls.Go(func() { found[n] = through(i, layer, 0) })
			}
			pulls.Wait()
			return found[0] + found[1]
		}, ""},
		"broken off, then hidden by another": {func(i *inspector) string {
			return through(i, layer, 1024) + through(i, other, 0) + through(i, opaque, 0)
		}, hides("/a")},
		"hides, broken off, and then another": {func(i *inspector) string {
			return through(i, opaque, 1024) + through(i, opaque, 0) + through(i, other, 0)
		}, hides("/a")},
	} {
		t.Run(name, func(t *testing.T) {
			if found := tt.play(newInspector(Inspection{Paths: []string{"/"}})); found != tt.want {
				t.Errorf("found %q, want %q", found, tt.want)
			}
		})
	}
}

// Two layers that hide what the other has in a directory are found whatever their pulls'
// order is, also one within the other.
func TestInspectHidingEachOther(t *testing.T) {
	a, b := layerOf(t, "d/.wh..wh..opq", "d/a"), layerOf(t, "d/.wh..wh..opq", "d/b")
	i := newInspector(Inspection{Paths: []string{"/"}})
	first, endFirst := i.inspect(digestOfBytes(a), bytes.NewReader(a), nil)
	if _, err := io.CopyN(io.Discard, first, 1024); err != nil { // its second header
		t.Fatal(err)
	}
	second, endSecond := i.inspect(digestOfBytes(b), bytes.NewReader(b), nil)
	_, _ = io.Copy(io.Discard, second) // what is found cuts it off
	found := endSecond()
	_, _ = io.Copy(io.Discard, first) // likewise
	// By which of the two, or by both, goes by how far the first was looked at meanwhile.
	if found = cmp.Or(found, endFirst()); found != hides("/d") {
		t.Errorf("found %q, want %q", found, hides("/d"))
	}
}

// A layer that was looked through is not looked through again, unless for its index: its
// own entries are not those of another layer.
func TestInspectOnce(t *testing.T) {
	layer := layerOf(t, "a/f", "a/.wh..wh..opq")
	digest := digestOfBytes(layer)
	i := newInspector(Inspection{Paths: []string{"/"}})
	for range 2 {
		body, ended := i.inspect(digest, bytes.NewReader(layer), nil)
		if _, err := io.Copy(io.Discard, body); err != nil || ended() != "" {
			t.Fatalf("error = %v", err)
		}
	}
	indexes, k := keeping(digest)
	defer indexes.end()
	passPulled(t, indexes.pull(digest), i, layer, true)
	indexes.settle()
	if kept := k.kept.Load(); kept != 1 {
		t.Errorf("%d indexes kept of a layer that was looked through before", kept)
	}
}
