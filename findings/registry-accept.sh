#!/usr/bin/env bash
# A registry of distribution v3.1.2 (the "registry" image) asked for one tag with several
# Accept headers. What it says depends on the format of what is stored under the tag:
#
#   an OCI index: itself, whatever is accepted
#   an OCI manifest: 404, unless its type is named; */* and no header at all name none
#   a Docker manifest: itself, whatever is accepted
#   a Docker manifest list: 400, unless its type is named; who names a Docker manifest only
#     gets the image for linux/amd64, with that one's digest, whatever machine asks
#
# A script with plain curl finds no such tag where there is one, once an image is built as
# OCI; one that asks for Docker's type compares digests of another architecture.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/distribution/distribution/v3 v3.1.2
	github.com/google/go-containerregistry v0.22.1
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"
)

func main() {
	logrus.SetOutput(io.Discard)
	settings := &configuration.Configuration{Storage: configuration.Storage{"inmemory": nil}}
	settings.Log.Level = "error"
	settings.Log.AccessLog.Disabled = true
	settings.Catalog.MaxEntries = 1
	server := httptest.NewServer(handlers.NewApp(context.Background(), settings))
	defer server.Close()

	oci, docker := types.OCIManifestSchema1, types.DockerManifestSchema2
	push(server.URL, "oci-index", index(types.OCIImageIndex, oci))
	push(server.URL, "oci-manifest", image("amd64", oci))
	push(server.URL, "docker-list", index(types.DockerManifestList, docker))
	push(server.URL, "docker-manifest", image("amd64", docker))
	for _, tag := range []string{"oci-index", "oci-manifest", "docker-list", "docker-manifest"} {
		for _, accept := range []string{"", "*/*", string(oci), string(docker), string(types.DockerManifestList)} {
			fmt.Printf("%s, accepts %q: %s\n", tag, short(accept), get(server.URL+"/v2/probe/manifests/"+tag, accept))
		}
	}
}

// index lists an image for arm64 before the one for amd64.
func index(kind, of types.MediaType) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, kind)
	for _, architecture := range []string{"arm64", "amd64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image(architecture, of), Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: architecture},
		}})
	}
	return index
}

func image(architecture string, kind types.MediaType) v1.Image {
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: architecture})
	check(err)
	return mutate.MediaType(image, kind)
}

func push(server, tag string, what any) {
	reference, err := name.ParseReference(strings.TrimPrefix(server, "http://") + "/probe:" + tag)
	check(err)
	if list, ok := what.(v1.ImageIndex); ok {
		check(remote.WriteIndex(reference, list))
		return
	}
	check(remote.Write(reference, what.(v1.Image)))
}

func get(address, accept string) string {
	request, err := http.NewRequest(http.MethodGet, address, nil)
	check(err)
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := http.DefaultClient.Do(request)
	check(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.Status
	}
	digest, err := image("amd64", types.DockerManifestSchema2).Digest()
	check(err)
	if response.Header.Get("Docker-Content-Digest") == digest.String() {
		return "the image for amd64"
	}
	return short(response.Header.Get("Content-Type"))
}

func short(kind string) string { return strings.TrimPrefix(kind, "application/vnd.") }

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
oci-index, accepts "": oci.image.index.v1+json
oci-index, accepts "*/*": oci.image.index.v1+json
oci-index, accepts "oci.image.manifest.v1+json": oci.image.index.v1+json
oci-index, accepts "docker.distribution.manifest.v2+json": oci.image.index.v1+json
oci-index, accepts "docker.distribution.manifest.list.v2+json": oci.image.index.v1+json
oci-manifest, accepts "": 404 Not Found
oci-manifest, accepts "*/*": 404 Not Found
oci-manifest, accepts "oci.image.manifest.v1+json": oci.image.manifest.v1+json
oci-manifest, accepts "docker.distribution.manifest.v2+json": 404 Not Found
oci-manifest, accepts "docker.distribution.manifest.list.v2+json": 404 Not Found
docker-list, accepts "": 400 Bad Request
docker-list, accepts "*/*": 400 Bad Request
docker-list, accepts "oci.image.manifest.v1+json": 400 Bad Request
docker-list, accepts "docker.distribution.manifest.v2+json": the image for amd64
docker-list, accepts "docker.distribution.manifest.list.v2+json": docker.distribution.manifest.list.v2+json
docker-manifest, accepts "": the image for amd64
docker-manifest, accepts "*/*": the image for amd64
docker-manifest, accepts "oci.image.manifest.v1+json": the image for amd64
docker-manifest, accepts "docker.distribution.manifest.v2+json": the image for amd64
docker-manifest, accepts "docker.distribution.manifest.list.v2+json": the image for amd64
SEEN
