#!/usr/bin/env bash
# Package URLs as SBOMs of images have them, written anew by two libraries of the project that
# makes the standard. It has one form for each package: a colon is never percent-encoded, any
# other sign but . - _ ~ is (section "Character encoding"), and an image's name is in small letters
# (type oci).
#
#   packageurl-go v0.1.7: as the standard, but for the name of an image
#   packageurl-js 2.0.1: a colon is encoded in qualifiers, a + is not encoded in versions, and the
#     name is in small letters
#
# Two scanners list one Debian package or one image with two names, and what joins their lists,
# or looks for an exception, by that text finds no match.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >purls <<'TEXT'
pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64
pkg:docker/app@1.0?repository_url=registry.example:5000
pkg:generic/tool@1.0?checksum=sha256:de4d501267da
pkg:oci/Tool@sha256:244fd47e07d10?tag=v1
TEXT
npm install --silent --no-audit --no-fund packageurl-js@2.0.1
cat >probe.js <<'JS'
const { readFileSync } = require('fs')
const { PackageURL } = require('packageurl-js')
for (const purl of readFileSync('purls', 'utf8').trim().split('\n')) {
  console.log(`packageurl-js: ${PackageURL.fromString(purl)}`)
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/package-url/packageurl-go v0.1.7
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/package-url/packageurl-go"
)

func main() {
	purls, err := os.ReadFile("purls")
	check(err)
	for line := range strings.Lines(string(purls)) {
		purl, err := packageurl.FromString(strings.TrimSpace(line))
		check(err)
		fmt.Println("packageurl-go:", purl)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .; node probe.js) <<'SEEN' && echo 'as described'
packageurl-go: pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64
packageurl-go: pkg:docker/app@1.0?repository_url=registry.example:5000
packageurl-go: pkg:generic/tool@1.0?checksum=sha256:de4d501267da
packageurl-go: pkg:oci/Tool@sha256:244fd47e07d10?tag=v1
packageurl-js: pkg:deb/debian/libc6@2.36-9+deb12u9?arch=amd64
packageurl-js: pkg:docker/app@1.0?repository_url=registry.example%3A5000
packageurl-js: pkg:generic/tool@1.0?checksum=sha256%3Ade4d501267da
packageurl-js: pkg:oci/tool@sha256:244fd47e07d10?tag=v1
SEEN
