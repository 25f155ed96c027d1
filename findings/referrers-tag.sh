#!/usr/bin/env bash
# An SBOM attached to an image in a registry without the referrers API, as distribution v3.1.2 is:
# who pushes it then lists it under a tag, for which the distribution specification has a
# scheme. Of two valid manifests the first gives its media type in the header of its push alone,
# the second is for an image by sha512, of whose digest the tag has 64 digits:
#
#   regclient v0.11.7: lists both
#   oras-go v2.7.0: takes all digits, which are too many for a tag; it fails after it has pushed
#     the second manifest, and cannot list what regclient attached
#   go-containerregistry v0.22.1: lists the first without the media type that a descriptor
#     must have, so that oras-go looks for a blob and finds nothing; fails after it has pushed
#     the second
#
# A signature or an SBOM is in the registry, and the tool of the next step does not get it.
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
	github.com/regclient/regclient v0.11.7
	oras.land/oras-go/v2 v2.7.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/types/descriptor"
	"github.com/regclient/regclient/types/manifest"
	"github.com/regclient/regclient/types/ref"
	"github.com/sirupsen/logrus"
	oras "oras.land/oras-go/v2/registry/remote"
)

const (
	named = `"mediaType": "application/vnd.oci.image.manifest.v1+json", `
	form  = `{"schemaVersion": 2, %s"config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "%[2]s", "size": 2},
		"layers": [{"mediaType": "application/vnd.oci.empty.v1+json", "digest": "%[2]s", "size": 2}]%s}`
	subject = `, "artifactType": "application/example", "subject": {` + named + `"digest": "%s", "size": %d}`
)

var ctx = context.Background()

func main() {
	logrus.SetOutput(io.Discard)
	settings := &configuration.Configuration{Storage: configuration.Storage{"inmemory": nil}}
	settings.Log.AccessLog.Disabled = true
	host := strings.TrimPrefix(httptest.NewServer(handlers.NewApp(ctx, settings)).URL, "http://")
	empty := digest.FromString("{}")
	image := fmt.Sprintf(form, named, empty, "")
	hashed := digest.SHA512.FromString(image)
	attached := []string{
		fmt.Sprintf(form, "", empty, fmt.Sprintf(subject, digest.FromString(image), len(image))),
		fmt.Sprintf(form, named, empty, fmt.Sprintf(subject, hashed, len(image))),
	}
	for library, push := range []func(name string, text string) error{byRegclient(host), byOras, byGGCR} {
		name := fmt.Sprint(host, "/probe/", library)
		repository := open(name)
		check(repository.Push(ctx, describe("application/octet-stream", "{}"), strings.NewReader("{}")))
		check(byOras(name, image))
		fmt.Println([]string{"regclient", "oras-go", "go-containerregistry"}[library])
		for i, image := range []digest.Digest{digest.FromString(image), hashed} {
			fmt.Printf("  %s: done %t", image.Algorithm(), push(name, attached[i]) == nil)
			_, err := repository.Resolve(ctx, digest.FromString(attached[i]).String())
			fmt.Printf(", there %t;", err == nil)
			list(repository, image)
		}
	}
}

// list prints what oras-go says is attached to image.
func list(repository *oras.Repository, image digest.Digest) {
	err := repository.Referrers(ctx, oci.Descriptor{Digest: image}, "", func(found []oci.Descriptor) error {
		for _, entry := range found {
			content, err := repository.Fetch(ctx, entry)
			fmt.Printf(" oras-go lists type %q, fetched %t", entry.MediaType, err == nil)
			if err == nil {
				content.Close()
			}
		}
		return nil
	})
	if err != nil {
		fmt.Print(" oras-go: error")
	}
	fmt.Println()
}

func open(name string) *oras.Repository {
	repository, err := oras.NewRepository(name)
	check(err)
	repository.PlainHTTP = true
	return repository
}

func describe(mediaType, text string) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.FromString(text), Size: int64(len(text))}
}

func byOras(name, text string) error {
	return open(name).Push(ctx, describe(oci.MediaTypeImageManifest, text), strings.NewReader(text))
}

func byRegclient(host string) func(name, text string) error {
	client := regclient.New(regclient.WithConfigHost(config.Host{Name: host, TLS: config.TLSDisabled}))
	return func(name, text string) error {
		described := describe(oci.MediaTypeImageManifest, text)
		reference, err := ref.New(name + "@" + described.Digest.String())
		check(err)
		read, err := manifest.New(manifest.WithRaw([]byte(text)), manifest.WithDesc(descriptor.Descriptor{
			MediaType: described.MediaType, Digest: described.Digest, Size: described.Size,
		}))
		check(err)
		return client.ManifestPut(ctx, reference, read)
	}
}

type taggable []byte

func (text taggable) RawManifest() ([]byte, error)        { return text, nil }
func (text taggable) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func byGGCR(repository, text string) error {
	reference, err := name.ParseReference(repository + "@" + digest.FromString(text).String())
	check(err)
	return remote.Put(reference, taggable(text))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
regclient
  sha256: done true, there true; oras-go lists type "application/vnd.oci.image.manifest.v1+json", fetched true
  sha512: done true, there true; oras-go: error
oras-go
  sha256: done true, there true; oras-go lists type "application/vnd.oci.image.manifest.v1+json", fetched true
  sha512: done false, there true; oras-go: error
go-containerregistry
  sha256: done true, there true; oras-go lists type "", fetched false
  sha512: done false, there true; oras-go: error
SEEN
