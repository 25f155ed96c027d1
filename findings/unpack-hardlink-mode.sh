#!/usr/bin/env bash
# One archive: a file of mode 644, and a hard link to it whose own entry says 600, as an
# archive has it that was appended to after a chmod:
#
#   containerd v2.4.2: both names have 600, since the later entry's mode is set
#   moby/go-archive v0.2.0: both have 644, unless the
#     directory in which the process runs happens to have a file of the first name, whatever
#     it is: then both have 600
#
# The library looks for the target of the link in the working directory of the process, and
# not in the one that it unpacks to, before it sets mode and time.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/containerd/containerd/v2 v2.4.2
	github.com/moby/go-archive v0.2.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	containerd "github.com/containerd/containerd/v2/pkg/archive"
	moby "github.com/moby/go-archive"
)

func main() {
	layer := pack(
		tar.Header{Name: "tool", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "alias", Typeflag: tar.TypeLink, Linkname: "tool", Mode: 0o600},
	)
	fmt.Println("containerd:", modes(layer, func(dir string, in io.Reader) error {
		_, err := containerd.Apply(context.Background(), dir, in)
		return err
	}))
	untar := func(dir string, in io.Reader) error { return moby.Untar(in, dir, nil) }
	fmt.Println("go-archive:", modes(layer, untar))
	elsewhere, err := os.MkdirTemp(".", "elsewhere")
	check(err)
	check(os.Chdir(elsewhere))
	check(os.WriteFile("tool", []byte("not of the archive"), 0o644))
	fmt.Println("go-archive, beside a file of that name:", modes(layer, untar))
}

// modes are those of both names in a new directory.
func modes(layer []byte, unpack func(dir string, in io.Reader) error) string {
	dir, err := os.MkdirTemp("", "target")
	check(err)
	defer os.RemoveAll(dir)
	check(unpack(dir, bytes.NewReader(layer)))
	text := ""
	for _, name := range []string{"tool", "alias"} {
		info, err := os.Lstat(dir + "/" + name)
		check(err)
		text += fmt.Sprintf("%s %o ", name, info.Mode().Perm())
	}
	return text
}

func pack(headers ...tar.Header) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		h.Uid, h.Gid = os.Getuid(), os.Getgid()
		check(w.WriteHeader(&h))
	}
	check(w.Close())
	return out.Bytes()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . | sed 's/ *$//') <<'SEEN' && echo 'as described'
containerd: tool 600 alias 600
go-archive: tool 644 alias 644
go-archive, beside a file of that name: tool 600 alias 600
SEEN
