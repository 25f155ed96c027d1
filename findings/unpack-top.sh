#!/usr/bin/env bash
# An archive with an entry of mode 700 for its own top directory, unpacked into a directory
# of mode 755. The entry is "./", as tar -C tree . writes it, or "/", as of tar -P:
#
#   GNU tar: the target has 700 then, in both cases
#   moby/go-archive v0.2.0 (ADD in a Dockerfile): 755 by "./", 700 by "/"
#   containerd v2.4.2: 755 in both
#
# So the same tree leaves the target open or closed by how its archive was packed.
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
	"fmt"
	"io"
	"os"
	"os/exec"

	containerd "github.com/containerd/containerd/v2/pkg/archive"
	moby "github.com/moby/go-archive"
)

func main() {
	for _, top := range []string{"./", "/"} {
		archive := pack(tar.Header{Name: top, Typeflag: tar.TypeDir, Mode: 0o700})
		fmt.Printf("%s: tar %s, go-archive %s, containerd %s\n", top,
			mode(archive, func(dir string, in io.Reader) error {
				cmd := exec.Command("tar", "-xpf", "-", "-C", dir)
				cmd.Stdin = in
				return cmd.Run()
			}),
			mode(archive, func(dir string, in io.Reader) error { return moby.Untar(in, dir, nil) }),
			mode(archive, func(dir string, in io.Reader) error {
				_, err := containerd.Apply(context.Background(), dir, in)
				return err
			}))
	}
}

// mode is that of the target once the archive is unpacked there.
func mode(archive []byte, unpack func(dir string, in io.Reader) error) string {
	dir, err := os.MkdirTemp(".", "target")
	check(err)
	check(os.Chmod(dir, 0o755))
	check(unpack(dir, bytes.NewReader(archive)))
	info, err := os.Stat(dir)
	check(err)
	return fmt.Sprintf("%o", info.Mode().Perm())
}

func pack(h tar.Header) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	h.Uid, h.Gid = os.Getuid(), os.Getgid()
	check(w.WriteHeader(&h))
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
./: tar 700, go-archive 755, containerd 755
/: tar 700, go-archive 700, containerd 755
SEEN
