#!/usr/bin/env bash
# An archive in which a directory comes first and a symbolic link takes its place later, as
# tar --append makes it of a tree in which "current" became a link. The link's target is not
# in the archive:
#
#   GNU tar: unpacks it, and so do go-archive and containerd where a file takes the place
#   moby/go-archive v0.2.0 and containerd v2.4.2: fail, with all of it unpacked, at the time
#     of the directory, which they set in the end, through the link
#   both, with a link to a file of the archive: unpack it, and give that file the time of
#     the directory which is no more
#
# So a Dockerfile's ADD of such an archive fails at something that every tar unpacks, or
# changes a file that the archive says otherwise of.
# Needs Go, a Go module proxy and GNU tar. Exits with 1 if the behaviour has changed.
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
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/pkg/archive"
	moby "github.com/moby/go-archive"
)

func main() {
	old, later := time.Unix(1_000_000_000, 0), time.Unix(1_500_000_000, 0)
	file := tar.Header{Name: "v1", Typeflag: tar.TypeReg, Mode: 0o644, ModTime: later}
	dir := tar.Header{Name: "current/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: old}
	for _, archive := range []struct {
		name    string
		content []byte
	}{
		{"a link to what is elsewhere", pack(file, dir, tar.Header{Name: "current", Typeflag: tar.TypeSymlink, Linkname: "v2", ModTime: later})},
		{"a link to a file", pack(file, dir, tar.Header{Name: "current", Typeflag: tar.TypeSymlink, Linkname: "v1", ModTime: later})},
		{"a file", pack(file, dir, tar.Header{Name: "current", Typeflag: tar.TypeReg, Mode: 0o644, ModTime: later})},
	} {
		fmt.Println(archive.name)
		fmt.Println("  tar:", seen(archive.content, func(dir string, in io.Reader) error {
			cmd := exec.Command("tar", "-xf", "-", "-C", dir)
			cmd.Stdin = in
			return cmd.Run()
		}))
		fmt.Println("  go-archive:", seen(archive.content, func(dir string, in io.Reader) error { return moby.Untar(in, dir, nil) }))
		fmt.Println("  containerd:", seen(archive.content, func(dir string, in io.Reader) error {
			_, err := containerd.Apply(context.Background(), dir, in)
			return err
		}))
	}
}

// seen tells what is there, and the year of the file.
func seen(archive []byte, unpack func(dir string, in io.Reader) error) string {
	dir, err := os.MkdirTemp(".", "target")
	check(err)
	answer := "unpacked"
	switch err := unpack(dir, bytes.NewReader(archive)); {
	case errors.Is(err, syscall.ENOENT) || err != nil && strings.Contains(err.Error(), "no such file"):
		answer = "no such file or directory"
	case err != nil:
		answer = err.Error()
	}
	replaced, err := os.Lstat(dir + "/current")
	check(err)
	file, err := os.Stat(dir + "/v1")
	check(err)
	return fmt.Sprintf("%s, current is %c, v1 of %d", answer, replaced.Mode().String()[0], file.ModTime().UTC().Year())
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
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
a link to what is elsewhere
  tar: unpacked, current is L, v1 of 2017
  go-archive: no such file or directory, current is L, v1 of 2017
  containerd: no such file or directory, current is L, v1 of 2017
a link to a file
  tar: unpacked, current is L, v1 of 2017
  go-archive: unpacked, current is L, v1 of 2001
  containerd: unpacked, current is L, v1 of 2001
a file
  tar: unpacked, current is -, v1 of 2017
  go-archive: unpacked, current is -, v1 of 2017
  containerd: unpacked, current is -, v1 of 2017
SEEN
