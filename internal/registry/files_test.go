package registry_test

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"kiln/internal/registry"
)

// layerOf is a layer with files by name. A name with a final slash is a
// directory, content that begins with "-> " a symbolic link.
func layerOf(t *testing.T, entries ...[2]string) v1.Layer {
	t.Helper()
	var packed bytes.Buffer
	out := tar.NewWriter(&packed)
	for _, entry := range entries {
		h := &tar.Header{Name: entry[0], Typeflag: tar.TypeReg, Size: int64(len(entry[1])), Mode: 0o644}
		if target, isLink := strings.CutPrefix(entry[1], "-> "); isLink {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, target, 0
		} else if strings.HasSuffix(entry[0], "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := out.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(out, entry[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// TestFiles reads files as a container of the image finds them.
func TestFiles(t *testing.T) {
	type entries = [][2]string
	base := entries{{"etc/", ""}, {"etc/passwd", "old"}, {"etc/group", "base"}}
	for name, tt := range map[string]struct {
		layers []entries
		want   map[string]string
		says   string
	}{
		"none":                  {nil, map[string]string{}, ""},
		"one layer":             {[]entries{base}, map[string]string{"etc/passwd": "old", "etc/group": "base"}, ""},
		"the upper one wins":    {[]entries{base, {{"./etc/passwd", "new"}}}, map[string]string{"etc/passwd": "new", "etc/group": "base"}, ""},
		"a slash in front":      {[]entries{{{"/etc/passwd", "p"}, {"/etc/group", "g"}}}, map[string]string{"etc/passwd": "p", "etc/group": "g"}, ""},
		"removed":               {[]entries{base, {{"etc/.wh.passwd", ""}}}, map[string]string{"etc/group": "base"}, ""},
		"removed and made anew": {[]entries{base, {{"etc/.wh.passwd", ""}}, {{"etc/passwd", "new"}}}, map[string]string{"etc/passwd": "new", "etc/group": "base"}, ""},
		"an opaque directory":   {[]entries{base, {{"etc/.wh..wh..opq", ""}, {"etc/group", "new"}}}, map[string]string{"etc/group": "new"}, ""},
		"opaque, said last":     {[]entries{base, {{"etc/group", "new"}, {"etc/.wh..wh..opq", ""}}}, map[string]string{"etc/group": "new"}, ""},
		"the directory removed": {[]entries{base, {{".wh.etc", ""}}}, map[string]string{}, ""},
		"a link":                {[]entries{base, {{"etc/passwd", "-> /nix/passwd"}}}, nil, "etc/passwd is no regular file"},
		"a linked directory":    {[]entries{base, {{"etc", "-> /usr/etc"}}}, nil, "etc is no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, "", nil)
			img := empty.Image
			for _, layer := range tt.layers {
				var err error
				if img, err = mutate.AppendLayers(img, layerOf(t, layer...)); err != nil {
					t.Fatal(err)
				}
			}
			h.put(t, "app:1", img)
			got, err := newClient(t, registry.ClientConfig{}, h).Files(t.Context(), h.host+"/app:1", "amd64", false, "etc/passwd", "etc/group")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error = %v, want %q", err, tt.says)
			}
		})
	}
}
