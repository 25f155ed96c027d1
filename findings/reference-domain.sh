#!/usr/bin/env bash
# An image name whose first part has a dot and an underscore, as hosts of inner networks do.
# It is a valid reference; three parsers disagree on whose:
#
#   distribution/reference v0.6.0 (Docker, BuildKit): "normalized", but of no
#     domain at all, which every other name has
#   go-containerregistry v0.22.1 (crane, Kaniko): the host with the underscore
#   regclient v0.11.7: a repository on Docker Hub
#
# A program that groups images, mirrors or credentials by reference.Domain puts it under "".
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/distribution/reference v0.6.0
	github.com/google/go-containerregistry v0.22.1
	github.com/regclient/regclient v0.11.7
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/regclient/regclient/types/ref"
)

func main() {
	for _, image := range []string{"my-registry.test/app", "my_registry.test/app", "my_registry.test/team/app:1"} {
		named, err := reference.ParseNormalizedNamed(image)
		check(err)
		parsed, err := name.ParseReference(image)
		check(err)
		client, err := ref.New(image)
		check(err)
		fmt.Println(image)
		fmt.Printf("  reference: domain %q, path %q\n", reference.Domain(named), reference.Path(named))
		fmt.Printf("  go-containerregistry: domain %q, path %q\n", parsed.Context().RegistryStr(), parsed.Context().RepositoryStr())
		fmt.Printf("  regclient: domain %q, path %q\n", client.Registry, client.Repository)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
my-registry.test/app
  reference: domain "my-registry.test", path "app"
  go-containerregistry: domain "my-registry.test", path "app"
  regclient: domain "my-registry.test", path "app"
my_registry.test/app
  reference: domain "", path "my_registry.test/app"
  go-containerregistry: domain "my_registry.test", path "app"
  regclient: domain "docker.io", path "my_registry.test/app"
my_registry.test/team/app:1
  reference: domain "", path "my_registry.test/team/app"
  go-containerregistry: domain "my_registry.test", path "team/app"
  regclient: domain "docker.io", path "my_registry.test/team/app"
SEEN
