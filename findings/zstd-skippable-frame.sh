#!/usr/bin/env bash
# A layer compressed by pzstd, whose output begins with a skippable frame that holds a size,
# and that zstd reads as it reads its own:
#
#   containerd v2.4.2: zstd, and the archive in it
#   go-containerregistry v0.22.1 (tarball.LayerFromFile, "crane append"): no compression; the
#     compressed bytes are the layer, packed once more with gzip, and the diff ID is theirs
#
# No error is raised where the image is made; what unpacks it finds no archive in that layer.
# The same file from zstd itself is taken as it should be.
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
	github.com/klauspost/compress v1.20.4
)
MOD
cat >main.go <<'GO'
package main

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"
)

func main() {
	var layer bytes.Buffer
	writer := tar.NewWriter(&layer)
	check(writer.WriteHeader(&tar.Header{Name: "file"}))
	check(writer.Close())
	packer, err := zstd.NewWriter(nil)
	check(err)
	frame := packer.EncodeAll(layer.Bytes(), nil)
	show("zstd", frame)

	// What pzstd writes before a frame: the magic number, a length of 4, the frame's size.
	skippable := binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0}, uint32(len(frame)))
	show("pzstd", append(skippable, frame...))
}

func show(what string, blob []byte) {
	unpacked, err := compression.DecompressStream(bytes.NewReader(blob))
	check(err)
	fmt.Printf("%s, containerd: %s\n", what, first(unpacked))

	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil })
	check(err)
	content, err := layer.Uncompressed()
	check(err)
	fmt.Printf("%s, go-containerregistry: %s\n", what, first(content))
}

func first(content io.Reader) string {
	header, err := tar.NewReader(content).Next()
	if err != nil {
		return err.Error()
	}
	return header.Name
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
zstd, containerd: file
zstd, go-containerregistry: file
pzstd, containerd: file
pzstd, go-containerregistry: unexpected EOF
SEEN
