#!/usr/bin/env bash
# A login to Docker Hub, written by the library with which "podman login docker.io" and skopeo
# write it, into a file of Docker's format, and one that "docker login" writes, whose key is
# https://index.docker.io/v1/. Who finds a user for docker.io/library/alpine:
#
#   go.podman.io/image v5.42.1 (which writes docker.io for a key) and regclient v0.11.7: in both
#   go-containerregistry v0.22.1 (crane, Kaniko), oras-go v2.7.0 and docker/cli v29.9.3: in the
#     second alone; in the first there is none, without an error
#
# For any other registry the key is its host, and all find it. A pull secret made from Podman's
# file pulls from Docker Hub as nobody, until a private image or the limit for that fails.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/docker/cli v29.9.3+incompatible
	github.com/google/go-containerregistry v0.22.1
	github.com/regclient/regclient v0.11.7
	go.podman.io/image/v5 v5.42.1
	oras.land/oras-go/v2 v2.7.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	docker "github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	regclient "github.com/regclient/regclient/config"
	podman "go.podman.io/image/v5/pkg/docker/config"
	"go.podman.io/image/v5/types"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

const file = "config.json"

func main() {
	_, err := podman.SetCredentials(&types.SystemContext{AuthFilePath: file}, "docker.io", "someone", "secret")
	check(err)
	find("podman login")
	text, err := os.ReadFile(file)
	check(err)
	check(os.WriteFile(file, []byte(strings.Replace(string(text), `"docker.io"`, `"https://index.docker.io/v1/"`, 1)), 0o600))
	find("docker login")
}

// find prints the user that each library finds.
func find(what string) {
	fmt.Println(what)
	config, err := podman.GetCredentials(&types.SystemContext{AuthFilePath: file}, "docker.io/library/alpine")
	check(err)
	fmt.Printf("  podman: %q\n", config.Username)

	hosts, err := regclient.DockerLoad()
	check(err)
	for _, host := range hosts {
		if host.Name == regclient.DockerRegistry {
			fmt.Printf("  regclient: %q\n", host.User)
		}
	}

	image, err := name.ParseReference("docker.io/library/alpine")
	check(err)
	authenticator, err := authn.DefaultKeychain.Resolve(image.Context())
	check(err)
	found, err := authenticator.Authorization()
	check(err)
	fmt.Printf("  go-containerregistry: %q\n", found.Username)

	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	check(err)
	credential, err := credentials.Credential(store)(context.Background(), "registry-1.docker.io")
	check(err)
	fmt.Printf("  oras-go: %q\n", credential.Username)

	loaded, err := docker.Load(".")
	check(err)
	known, err := loaded.GetAuthConfig("https://index.docker.io/v1/")
	check(err)
	fmt.Printf("  docker/cli: %q\n", known.Username)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(DOCKER_CONFIG=$work GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
podman login
  podman: "someone"
  regclient: "someone"
  go-containerregistry: ""
  oras-go: ""
  docker/cli: ""
docker login
  podman: "someone"
  regclient: "someone"
  go-containerregistry: "someone"
  oras-go: "someone"
  docker/cli: "someone"
SEEN
