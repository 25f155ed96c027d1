#!/usr/bin/env bash
# An index lists linux/amd64/v3 before plain linux/amd64. A client that asks for
# linux/amd64 gets another image depending on the library that it is built with:
#
#   go-containerregistry v0.22.1 (crane, Kaniko): the v3 image, since a platform that
#     names no variant matches any, and the first match wins
#   containerd/platforms v1.0.0-rc.1 (containerd, BuildKit): the plain image; v3 does
#     not match a request without a variant
#
# An image for v3 ends with an illegal instruction on an older processor.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.25.0

require (
	github.com/containerd/platforms v1.0.0-rc.1
	github.com/google/go-containerregistry v0.22.1
	github.com/opencontainers/image-spec v1.1.1
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// variants are the entries of the index, in its order.
var variants = []string{"v3", ""}

func main() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/probe:latest")
	check(err)

	digests := map[v1.Hash]string{}
	index := v1.ImageIndex(empty.Index)
	for _, variant := range variants {
		image, err := mutate.Config(empty.Image, v1.Config{Labels: map[string]string{"variant": variant}})
		check(err)
		digest, err := image.Digest()
		check(err)
		digests[digest] = variant
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: "amd64", Variant: variant},
		}})
	}
	check(remote.WriteIndex(ref, index))
	image, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	check(err)
	digest, err := image.Digest()
	check(err)
	fmt.Printf("go-containerregistry: %q\n", digests[digest])

	matcher := platforms.Only(platforms.MustParse("linux/amd64"))
	for _, variant := range variants {
		if matcher.Match(ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: variant}) {
			fmt.Printf("containerd/platforms: %q\n", variant)
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff <(printf '%s\n' 'go-containerregistry: "v3"' 'containerd/platforms: ""') <(CGO_ENABLED=0 go run .) && echo 'as described'
