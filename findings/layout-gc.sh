#!/usr/bin/env bash
# An OCI layout with an image in Docker's format, as "crane pull --format=oci" and Kaniko's
# --oci-layout-path write it for such an image, on its way through what removes blobs that
# no reference needs:
#
#   oras-go v2.7.0, (*oci.Store).GC: removes nothing
#   umoci v0.6.0 (umoci gc, which is to remove what cannot be reached from a reference):
#     removes configuration and layers, since it does not look into that manifest
#
# The manifest stays, with nothing behind it, and no error is raised. The same image in OCI's
# format is kept whole.
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
	github.com/opencontainers/umoci v0.6.0
	oras.land/oras-go/v2 v2.7.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/umoci/oci/cas/dir"
	"github.com/opencontainers/umoci/oci/casext"
	"oras.land/oras-go/v2/content/oci"
)

func main() {
	for _, kind := range []types.MediaType{types.OCIManifestSchema1, types.DockerManifestSchema2} {
		fmt.Println(kind)
		fmt.Println("  oras-go:", collected(kind, func(path string) error {
			store, err := oci.New(path)
			check(err)
			return store.GC(context.Background())
		}))
		fmt.Println("  umoci:", collected(kind, func(path string) error {
			engine, err := dir.Open(path)
			check(err)
			defer engine.Close()
			return casext.NewEngine(engine).GC(context.Background())
		}))
	}
}

// collected counts the blobs of a layout with one image of two layers, before and after.
func collected(kind types.MediaType, collect func(path string) error) string {
	path, err := os.MkdirTemp(".", "layout")
	check(err)
	image, err := random.Image(10, 2)
	check(err)
	if kind == types.OCIManifestSchema1 {
		image = mutate.ConfigMediaType(mutate.MediaType(image, kind), types.OCIConfigJSON)
	}
	stored, err := layout.Write(path, empty.Index)
	check(err)
	check(stored.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "app"})))
	before := blobs(path)
	check(collect(path))
	return fmt.Sprintf("%d blobs, then %d", before, blobs(path))
}

func blobs(path string) int {
	files, err := filepath.Glob(filepath.Join(path, "blobs", "sha256", "*"))
	check(err)
	return len(files)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . 2>/dev/null) <<'SEEN' && echo 'as described'
application/vnd.oci.image.manifest.v1+json
  oras-go: 4 blobs, then 4
  umoci: 4 blobs, then 4
application/vnd.docker.distribution.manifest.v2+json
  oras-go: 4 blobs, then 4
  umoci: 4 blobs, then 1
SEEN
