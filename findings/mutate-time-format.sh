#!/usr/bin/env bash
# mutate.Time and mutate.Canonical of go-containerregistry v0.22.1 (Kaniko's --reproducible)
# are to set the times in an image. They also turn an OCI image into a Docker one: the media
# types of manifest, config and layers change, a zstd layer becomes gzip, and the annotations
# of the manifest and of each layer are gone, the base image's name and digest among them.
#
# What is pushed differs in format from what was built, and nothing says so.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/google/go-containerregistry v0.22.1
	github.com/klauspost/compress v1.20.4
)
MOD
cat >main.go <<'GO'
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

func main() {
	built := build()
	show("built", built)
	timed, err := mutate.Time(built, time.Unix(0, 0))
	check(err)
	show("mutate.Time", timed)
	canonical, err := mutate.Canonical(built)
	check(err)
	show("mutate.Canonical", canonical)
}

// build makes an OCI image with annotations and one layer, compressed with zstd.
func build() v1.Image {
	var layer bytes.Buffer
	packer, err := zstd.NewWriter(&layer)
	check(err)
	writer := tar.NewWriter(packer)
	check(writer.WriteHeader(&tar.Header{Name: "file", ModTime: time.Unix(1e9, 0)}))
	check(writer.Close())
	check(packer.Close())
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil }
	packed, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayerZStd))
	check(err)

	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{Layer: packed, Annotations: map[string]string{"of": "layer"}})
	check(err)
	return mutate.Annotations(image, map[string]string{"of": "manifest"}).(v1.Image)
}

func show(what string, image v1.Image) {
	manifest, err := image.Manifest()
	check(err)
	layer := manifest.Layers[0]
	fmt.Printf("%s:\n  %s %v\n  %s\n  %s %v\n", what, manifest.MediaType, manifest.Annotations, manifest.Config.MediaType, layer.MediaType, layer.Annotations)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
built:
  application/vnd.oci.image.manifest.v1+json map[of:manifest]
  application/vnd.oci.image.config.v1+json
  application/vnd.oci.image.layer.v1.tar+zstd map[of:layer]
mutate.Time:
  application/vnd.docker.distribution.manifest.v2+json map[]
  application/vnd.docker.container.image.v1+json
  application/vnd.docker.image.rootfs.diff.tar.gzip map[]
mutate.Canonical:
  application/vnd.docker.distribution.manifest.v2+json map[]
  application/vnd.docker.container.image.v1+json
  application/vnd.docker.image.rootfs.diff.tar.gzip map[]
SEEN
