#!/usr/bin/env bash
# Two archives as layers, each with a global header, which POSIX has for all files that follow:
# one from GNU tar with --pax-option=uid=1000, one from "git archive", which puts the commit there:
#
#   GNU tar and tar 7.5.23 for Node.js: the owner is 1000
#   archive/tar of Go 1.26 (containerd, Docker, Kaniko) and tar-stream 3.2.2 for Node.js: the
#     owner is the one of each file's own header
#   umoci v0.6.0, and mutate.Time of go-containerregistry v0.22.1 (Kaniko's --reproducible): an
#     error for either archive, while "crane append" takes it
#
# What was archived for an unprivileged user belongs to root in the container, and an image
# with "git archive HEAD" as a layer runs but cannot be built on by some.
# Needs Go, GNU tar, git, Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

mkdir tree
touch tree/file
tar --format=posix --owner=0 --group=0 --pax-option=uid=1000 -C tree -cf owned.tar file
git init --quiet tree
git -C tree add file
git -C tree -c user.name=one -c user.email=one@example.com commit --quiet -m one
git -C tree archive -o "$work/commit.tar" HEAD
npm install --silent --no-audit --no-fund tar@7.5.23 tar-stream@3.2.2
cat >probe.mjs <<'JS'
import fs from 'node:fs'
import * as tar from 'tar'
import { extract } from 'tar-stream'

const uids = []
await tar.list({ file: 'owned.tar', onReadEntry: ({ path, uid }) => uids.push(path, uid) })
console.log('tar', ...uids)
const streamed = []
for await (const entry of fs.createReadStream('owned.tar').pipe(extract())) {
  streamed.push(entry.header.name, entry.header.uid)
  entry.resume()
}
console.log('tar-stream', ...streamed)
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/google/go-containerregistry v0.22.1
	github.com/opencontainers/umoci v0.6.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	umoci "github.com/opencontainers/umoci/oci/layer"
)

func main() {
	reader := tar.NewReader(open("owned.tar"))
	for header, err := reader.Next(); err != io.EOF; header, err = reader.Next() {
		check(err)
		if header.Typeflag != tar.TypeXGlobalHeader {
			fmt.Println("archive/tar", header.Name, header.Uid)
		}
	}
	for _, name := range []string{"owned.tar", "commit.tar"} {
		fmt.Println("umoci", name, answer(umoci.UnpackLayer("root", open(name), &umoci.UnpackOptions{})))
		layer, err := tarball.LayerFromFile(name)
		check(err)
		image, err := mutate.AppendLayers(empty.Image, layer)
		check(err)
		timed, err := mutate.Time(image, time.Unix(0, 0))
		if err == nil {
			_, err = timed.Digest()
		}
		fmt.Println("mutate.Time", name, answer(err))
	}
}

func answer(err error) string {
	if err != nil {
		return "error"
	}
	return "taken"
}

func open(name string) *os.File {
	file, err := os.Open(name)
	check(err)
	return file
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(
  echo "GNU tar $(tar --numeric-owner -tvf owned.tar | awk '{print $6, $2}')"
  node probe.mjs
  GOFLAGS=-mod=mod CGO_ENABLED=0 go run .
) <<'SEEN' && echo 'as described'
GNU tar file 1000/0
tar file 1000
tar-stream file 0
archive/tar file 0
umoci owned.tar error
mutate.Time owned.tar error
umoci commit.tar error
mutate.Time commit.tar error
SEEN
