#!/usr/bin/env bash
# An OCI layout with one name for the images of two platforms, each an entry of its own in
# index.json. The image specification puts no restriction on such a name, and does not ask that
# it be there once:
#
#   umoci v0.6.0: the name is both
#   regclient v0.11.7: the first
#   oras-go v2.7.0: the last; and when it tags that one with another name it writes index.json
#     anew, in which the first has no name any more
#
# A copy by name takes another platform with another tool, and a tag that is added to one image
# takes the name of another.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

mkdir -p image/blobs/sha256
# blob puts its argument into the layout and prints what a descriptor says of it.
blob() {
  local digest
  digest=$(printf %s "$1" | sha256sum | cut -d' ' -f1)
  printf %s "$1" >"image/blobs/sha256/$digest"
  printf '"digest": "sha256:%s", "size": %d' "$digest" "${#1}"
}
type=application/vnd.oci.image
entries=()
for machine in amd64 arm64; do
  config=$(blob '{"architecture": "'$machine'", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}')
  manifest=$(blob '{"schemaVersion": 2, "mediaType": "'$type'.manifest.v1+json", "layers": [],
    "annotations": {"machine": "'$machine'"}, "config": {"mediaType": "'$type'.config.v1+json", '"$config}}")
  entries+=('{"mediaType": "'"$type"'.manifest.v1+json", '"$manifest"', "platform": {"architecture": "'"$machine"'", "os": "linux"},
    "annotations": {"org.opencontainers.image.ref.name": "v1"}}')
done
echo '{"imageLayoutVersion": "1.0.0"}' >image/oci-layout
echo '{"schemaVersion": 2, "manifests": ['"${entries[0]}, ${entries[1]}"']}' >image/index.json

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/opencontainers/image-spec v1.1.1
	github.com/opencontainers/umoci v0.6.0
	github.com/regclient/regclient v0.11.7
	oras.land/oras-go/v2 v2.7.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/umoci/oci/cas/dir"
	"github.com/opencontainers/umoci/oci/casext"
	"github.com/regclient/regclient"
	"github.com/regclient/regclient/types/ref"
	"oras.land/oras-go/v2/content/oci"
)

func main() {
	ctx := context.Background()
	engine, err := dir.Open("image")
	check(err)
	paths, err := casext.NewEngine(engine).ResolveReference(ctx, "v1")
	check(err)
	for _, path := range paths {
		fmt.Println("umoci:", machine(path.Root().Digest))
	}

	reference, err := ref.New("ocidir://image:v1")
	check(err)
	manifest, err := regclient.New().ManifestGet(ctx, reference)
	check(err)
	fmt.Println("regclient:", machine(manifest.GetDescriptor().Digest))

	store, err := oci.New("image")
	check(err)
	resolved, err := store.Resolve(ctx, "v1")
	check(err)
	fmt.Println("oras-go:", machine(resolved.Digest))
	check(store.Tag(ctx, resolved, "v2"))
	var index spec.Index
	read("image/index.json", &index)
	for _, entry := range index.Manifests {
		fmt.Printf("oras-go wrote: %s %q\n", machine(entry.Digest), entry.Annotations[spec.AnnotationRefName])
	}
}

// machine is the architecture that the image of digest has in its annotations.
func machine(digest digest.Digest) string {
	var manifest spec.Manifest
	read("image/blobs/sha256/"+digest.Encoded(), &manifest)
	return manifest.Annotations["machine"]
}

func read(name string, into any) {
	text, err := os.ReadFile(name)
	check(err)
	check(json.Unmarshal(text, into))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . | sort) <<'SEEN' && echo 'as described'
oras-go wrote: amd64 ""
oras-go wrote: arm64 "v1"
oras-go wrote: arm64 "v2"
oras-go: arm64
regclient: amd64
umoci: amd64
umoci: arm64
SEEN
