package rootfs

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// layer makes a layer of headers; a file's content is its own name.
func layer(t *testing.T, headers ...tar.Header) v1.Layer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, header := range headers {
		header.Format = tar.FormatPAX
		content := ""
		if header.Typeflag == tar.TypeReg {
			content = header.Name
		}
		header.Size = int64(len(content))
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func file(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }

func dir(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o700} }

func TestRead(t *testing.T) {
	symlink := func(name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}
	}
	hardlink := func(name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}
	}
	tests := map[string]struct {
		layers [][]tar.Header
		want   []string
	}{
		"a later layer wins":          {[][]tar.Header{{file("a")}, {dir("a")}}, []string{"/ dir 755", "/a dir 700"}},
		"a file in place of a tree":   {[][]tar.Header{{dir("a"), file("a/b")}, {file("a")}}, []string{"/ dir 755", "/a file 644"}},
		"a directory keeps its files": {[][]tar.Header{{dir("a"), file("a/b")}, {dir("a")}}, []string{"/ dir 755", "/a dir 700", "/a/b file 644"}},
		"whiteout of a tree":          {[][]tar.Header{{dir("a"), file("a/b"), file("ab")}, {file(".wh.a")}}, []string{"/ dir 755", "/ab file 644"}},
		"opaque directory keeps its own": {
			[][]tar.Header{{dir("a"), file("a/b")}, {dir("a"), file("a/c"), file("a/.wh..wh..opq")}},
			[]string{"/ dir 755", "/a dir 700", "/a/c file 644"},
		},
		"parents that no layer has": {[][]tar.Header{{file("./x/y/z")}}, []string{"/ dir 755", "/x dir 755", "/x/y dir 755", "/x/y/z file 644"}},
		"through a link": {
			[][]tar.Header{{dir("usr"), dir("usr/lib"), symlink("lib", "usr/lib")}, {file("lib/x")}},
			[]string{"/ dir 755", "/lib link 777", "/usr dir 700", "/usr/lib dir 700", "/usr/lib/x file 644"},
		},
		"through a link that leads out": {
			[][]tar.Header{{symlink("up", "../../etc"), file("up/x")}},
			[]string{"/ dir 755", "/etc dir 755", "/etc/x file 644", "/up link 777"},
		},
		"a loop of links ends": {[][]tar.Header{{symlink("l", "l"), file("l/x")}}, []string{"/ dir 755", "/l link 777", "/l/x file 644"}},
		"hard link":            {[][]tar.Header{{file("a"), hardlink("b", "a")}}, []string{"/ dir 755", "/a file 644 = /a /b", "/b file 644 = /a /b"}},
		"hard link to nothing": {[][]tar.Header{{hardlink("b", "a")}}, []string{"/ dir 755", "/b missing 0"}},
		"a name of a hard link is replaced": {
			[][]tar.Header{{file("a"), hardlink("b", "a")}, {file("b")}},
			[]string{"/ dir 755", "/a file 644", "/b file 644"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			img := empty.Image
			for _, headers := range tc.layers {
				var err error
				if img, err = mutate.AppendLayers(img, layer(t, headers...)); err != nil {
					t.Fatal(err)
				}
			}
			tree, err := (&Reader{}).Read(img)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, list(tree)); diff != "" {
				t.Errorf("Read (-want +got):\n%s", diff)
			}
		})
	}
}

// list writes a tree as lines.
func list(tree Tree) []string {
	names := tree.Names()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		line := fmt.Sprintf("%s %s %o", name, tree[name].Kind, tree[name].Mode)
		if len(names[name]) > 1 {
			line += " ="
			for _, other := range names[name] {
				line += " " + other
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// TestReadAttributes wants every attribute of an entry in its node.
func TestReadAttributes(t *testing.T) {
	img, err := mutate.AppendLayers(empty.Image, layer(t,
		tar.Header{
			Name: "f", Typeflag: tar.TypeReg, Mode: 0o7751, Uid: 70000, Gid: 8,
			PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00", "SCHILY.xattr.user.x": "y"},
		},
		tar.Header{Name: "d", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
		tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../f"},
		tar.Header{Name: "p", Typeflag: tar.TypeFifo},
	))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := (&Reader{}).Read(img)
	if err != nil {
		t.Fatal(err)
	}
	want := &Node{
		Kind: "file", Mode: 0o7751, UID: 70000, GID: 8, Size: 1, Capability: "0100",
		Digest: "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111", // printf f | sha256sum
	}
	got := *tree["/f"]
	want.ModTime = got.ModTime
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if tree["/d"].Device != "1:3" || tree["/l"].Link != "../f" || tree["/p"].Kind != "fifo" {
		t.Errorf("device %q, link %q, fifo %q", tree["/d"].Device, tree["/l"].Link, tree["/p"].Kind)
	}
}
