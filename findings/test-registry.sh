#!/usr/bin/env bash
# The registry in a process that tests of image tools push to, pkg/registry of
# go-containerregistry v0.22.1, beside the one that the tools meet, distribution v3.1.2:
#
#   a manifest whose config and layers were never uploaded: taken, refused
#   a manifest that is plain text: taken, refused
#   a blob asked for in a repository that it was not pushed to: there, not there
#   a list of at most one tag of two: no link to the next, a link
#
# A push that forgets a layer, a mount or the second page passes its tests.
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
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"
)

const descriptor = `{"mediaType": "%s", "size": 2, "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000"}`

func main() {
	logrus.SetOutput(io.Discard)
	settings := &configuration.Configuration{Storage: configuration.Storage{"inmemory": nil}}
	settings.Log.AccessLog.Disabled = true
	settings.Catalog.MaxEntries = 1
	probe("go-containerregistry", registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	probe("distribution", handlers.NewApp(context.Background(), settings))
}

func probe(what string, handler http.Handler) {
	server := httptest.NewServer(handler)
	defer server.Close()
	for _, tag := range []string{"one", "two"} {
		reference, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/probe:" + tag)
		check(err)
		check(remote.Write(reference, empty.Image))
	}
	config, err := empty.Image.ConfigName()
	check(err)

	do := func(method, path, body string) *http.Response {
		request, err := http.NewRequest(method, server.URL+"/v2/"+path, strings.NewReader(body))
		check(err)
		request.Header.Set("Content-Type", string(types.DockerManifestSchema2))
		response, err := http.DefaultClient.Do(request)
		check(err)
		check(response.Body.Close())
		return response
	}
	manifest := fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "%s", "config": `+descriptor+`, "layers": [`+descriptor+`]}`,
		types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer)
	fmt.Println(what)
	fmt.Printf("  tags: link %q\n", do(http.MethodGet, "probe/tags/list?n=1", "").Header.Get("Link"))
	fmt.Println("  manifest without its blobs:", do(http.MethodPut, "probe/manifests/bare", manifest).Status)
	fmt.Println("  manifest of text:", do(http.MethodPut, "probe/manifests/text", "text").Status)
	fmt.Println("  blob of another repository:", do(http.MethodHead, "other/blobs/"+config.String(), "").Status)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
go-containerregistry
  tags: link ""
  manifest without its blobs: 201 Created
  manifest of text: 201 Created
  blob of another repository: 200 OK
distribution
  tags: link "</v2/probe/tags/list?last=one&n=1>; rel=\"next\""
  manifest without its blobs: 400 Bad Request
  manifest of text: 400 Bad Request
  blob of another repository: 404 Not Found
SEEN
