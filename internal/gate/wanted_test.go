package gate

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"
)

// passwd is a layer with a file of that content.
func passwd(t *testing.T, name, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What an image has to have is found in any of its layers, or is lacking.
func TestWanted(t *testing.T) {
	const entry = "root:x:0:0::/:/bin/sh\nmary:x:4711:100::/:\n"
	link := func(name string) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: "opt"}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	all := Inspection{Workdir: "/srv/app", User: "4711"}
	for name, tt := range map[string]struct {
		what   Inspection
		layers [][]byte
		want   string
	}{
		"nothing wanted":        {Inspection{}, [][]byte{layerOf(t, "f")}, ""},
		"all there":             {all, [][]byte{layerOf(t, "srv/app/"), passwd(t, "etc/passwd", entry)}, ""},
		"in several layers":     {all, [][]byte{passwd(t, "./etc/passwd", entry), passwd(t, "etc/passwd", "root:x:0:0\n"), layerOf(t, "srv/app/")}, ""},
		"something in it":       {Inspection{Workdir: "/srv/app"}, [][]byte{layerOf(t, "srv/app/x/f")}, ""},
		"behind a link":         {Inspection{Workdir: "/srv/app"}, [][]byte{link("srv")}, ""},
		"a link":                {Inspection{Workdir: "/srv/app"}, [][]byte{link("srv/app")}, ""},
		"a link elsewhere":      {Inspection{Workdir: "/srv/app"}, [][]byte{link("srv/ap")}, "its working directory /srv/app: "},
		"its parent alone":      {Inspection{Workdir: "/srv/app"}, [][]byte{layerOf(t, "srv/", "srv/app2/")}, "its working directory /srv/app: "},
		"no entry":              {Inspection{User: "471"}, [][]byte{passwd(t, "etc/passwd", entry)}, "an entry in /etc/passwd for its user 471: "},
		"no passwd":             {Inspection{User: "4711"}, [][]byte{passwd(t, "etc/passwd-", entry)}, "an entry in /etc/passwd for its user 4711: "},
		"passwd is a link":      {Inspection{User: "4711"}, [][]byte{link("etc/passwd")}, ""},
		"what is no layer":      {all, [][]byte{layerOf(t, "f"), []byte("x")}, ""},
		"a configuration":       {Inspection{User: "1"}, [][]byte{layerOf(t, "f"), []byte("{}")}, "an entry in /etc/passwd for its user 1: "},
		"a configuration alone": {all, [][]byte{[]byte("{}")}, ""},
		"nothing passed":        {all, nil, ""},
		"a layer that is short": {all, [][]byte{layerOf(t, "f")[:600]}, ""},
	} {
		i := newInspector(tt.what)
		for n, layer := range tt.layers {
			body, ended := i.inspect(string(rune('a'+n)), bytes.NewReader(layer), nil)
			if _, err := io.Copy(io.Discard, body); err != nil || ended() != "" {
				t.Fatalf("%s: the layer does not come through: %v", name, err)
			}
		}
		got := i.wanted.lacking()
		if (tt.want == "") != (got == "") || tt.want != "" && !strings.HasPrefix(got, Lacks+tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
