#!/usr/bin/env bash
# A file with two names (hard links) in one layer, of which the layer above replaces one. The
# image specification applies layers in order, one entry at a time, so that the other name
# keeps its content, as it does on an overlay:
#
#   containerd v2.4.2 and umoci v0.6.0: it does
#   go-containerregistry v0.22.1 (crane export, crane flatten): the other name has the new
#     content, since the upper layer's file is written first and the link of the lower layer
#     then means that one; with the first name deleted above, the link means a file that the
#     archive does not have
#
# dpkg and git keep such links; the exported tree is not the image's, and nothing says so.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/containerd/containerd/v2 v2.4.2
	github.com/google/go-containerregistry v0.22.1
	github.com/opencontainers/umoci v0.6.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	containerd "github.com/containerd/containerd/v2/pkg/archive"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	umoci "github.com/opencontainers/umoci/oci/layer"
)

var (
	lower    = pack(file("first", "old"), tar.Header{Name: "second", Typeflag: tar.TypeLink, Linkname: "first"})
	replaced = pack(file("first", "new"))
	deleted  = pack(file(".wh.first", ""))
)

// file is a header that carries its content in its comment.
func file(name, content string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content)), PAXRecords: map[string]string{"comment": content}}
}

func main() {
	for _, upper := range [][]byte{replaced, deleted} {
		fmt.Println("containerd:", applied(upper, func(dir string, layer io.Reader) error {
			_, err := containerd.Apply(context.Background(), dir, layer)
			return err
		}))
		fmt.Println("umoci:", applied(upper, func(dir string, layer io.Reader) error {
			return umoci.UnpackLayer(dir, layer, &umoci.UnpackOptions{})
		}))
		fmt.Println("go-containerregistry:", exported(upper))
	}
}

// applied is what second holds once apply has unpacked both layers.
func applied(upper []byte, apply func(dir string, layer io.Reader) error) string {
	dir, err := os.MkdirTemp(".", "root")
	check(err)
	check(apply(dir, bytes.NewReader(lower)))
	check(apply(dir, bytes.NewReader(upper)))
	content, err := os.ReadFile(filepath.Join(dir, "second"))
	check(err)
	return "second is " + string(content)
}

// exported tells the entries of the flattened image.
func exported(upper []byte) (entries []string) {
	image := v1.Image(empty.Image)
	for _, content := range [][]byte{lower, upper} {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		check(err)
		image, err = mutate.AppendLayers(image, layer)
		check(err)
	}
	reader := tar.NewReader(mutate.Extract(image))
	for header, err := reader.Next(); err != io.EOF; header, err = reader.Next() {
		check(err)
		content, err := io.ReadAll(reader)
		check(err)
		if header.Typeflag == tar.TypeLink {
			content = []byte("a link to " + header.Linkname)
		}
		entries = append(entries, fmt.Sprintf("%s is %s", header.Name, content))
	}
	return entries
}

func pack(headers ...tar.Header) []byte {
	var layer bytes.Buffer
	writer := tar.NewWriter(&layer)
	for _, header := range headers {
		header.Mode, header.Uid, header.Gid = 0o644, os.Getuid(), os.Getgid()
		check(writer.WriteHeader(&header))
		_, err := io.WriteString(writer, header.PAXRecords["comment"])
		check(err)
	}
	check(writer.Close())
	return layer.Bytes()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
containerd: second is old
umoci: second is old
go-containerregistry: [first is new second is a link to first]
containerd: second is old
umoci: second is old
go-containerregistry: [second is a link to first]
SEEN
