#!/usr/bin/env bash
# A config.json with credentials for two namespaces of one registry, as Podman writes and
# Kubernetes reads them (a key is a prefix of the image's name), in the hands of the
# libraries that read Docker's config.json:
#
#   docker/cli v29.9.3 and go-containerregistry v0.22.1 (crane, Kaniko), which uses it: for
#     any repository on that host, either namespace's, picked anew at each look-up; the
#     namespaces themselves make no difference
#   go-containerregistry alone: a key that is the whole repository is found first
#   oras-go v2.7.0: the same dice
#
# A pull secret that works for the kubelet makes a build that uses it fail now and then.
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
	oras.land/oras-go/v2 v2.7.0
)
MOD
cat >config.json <<'JSON'
{"auths": {
  "registry.test/blue": {"auth": "Ymx1ZTpzZWNyZXQ="},
  "registry.test/red": {"auth": "cmVkOnNlY3JldA=="}
}}
JSON
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

func main() {
	for _, image := range []string{"registry.test/red/app", "registry.test/green/app", "registry.test/red"} {
		repository, err := name.NewRepository(image)
		check(err)
		fmt.Println(image, "as", users(func() string {
			found, err := authn.DefaultKeychain.Resolve(repository)
			check(err)
			auth, err := found.Authorization()
			check(err)
			return auth.Username
		}))
	}
	fmt.Println("docker/cli, registry.test as", users(func() string {
		file, err := config.Load(".")
		check(err)
		auth, err := file.GetAuthConfig("registry.test")
		check(err)
		return auth.Username
	}))
	fmt.Println("oras-go, registry.test as", users(func() string {
		store, err := credentials.NewStore("config.json", credentials.StoreOptions{})
		check(err)
		found, err := credentials.Credential(store)(context.Background(), "registry.test")
		check(err)
		return found.Username
	}))
}

// users are the users of 200 look-ups, each once: what is one of two at random is both.
func users(lookUp func() string) []string {
	seen := map[string]bool{}
	for range 200 {
		seen[lookUp()] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(DOCKER_CONFIG=$work GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
registry.test/red/app as [blue red]
registry.test/green/app as [blue red]
registry.test/red as [red]
docker/cli, registry.test as [blue red]
oras-go, registry.test as [blue red]
SEEN
