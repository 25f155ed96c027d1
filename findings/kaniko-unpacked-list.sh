#!/usr/bin/env bash
# Kaniko (chainguard-dev/kaniko v1.25.16) unpacks the archive of an ADD and lists the files
# that the image's layer is to have. Where an entry lies behind a symbolic link with an
# absolute target, which is there already, the list does not name where the entry is:
#
#   unpacked to: the link's target below the directory of the ADD, as Docker does
#   listed as: the path through the link, which leads to the root of the file system
#
# The layer then lacks the file, unless a RUN behind it looks through everything.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/chainguard-dev/kaniko v1.25.16

replace github.com/moby/go-archive => github.com/moby/go-archive v0.1.0
MOD
cat >main.go <<'GO'
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/chainguard-dev/kaniko/pkg/util"
)

func main() {
	for _, target := range []string{"versions/of-this-probe", "/versions/of-this-probe"} {
		dir, err := os.MkdirTemp("", "target")
		check(err)
		defer os.RemoveAll(dir)
		check(os.MkdirAll(filepath.Join(dir, "versions/of-this-probe"), 0o755))
		check(os.Symlink(target, filepath.Join(dir, "current")))
		listed, err := util.UnTar(bytes.NewReader(pack(tar.Header{Name: "current/tool", Typeflag: tar.TypeReg, Mode: 0o644})), dir)
		check(err)
		_, err = os.Stat(filepath.Join(dir, "versions/of-this-probe/tool"))
		fmt.Printf("current -> %s: unpacked below the target %t", target, err == nil)
		for _, name := range listed {
			_, err := os.Stat(name)
			fmt.Printf(", listed as %s, which is there %t", strings.TrimPrefix(name, dir+"/"), !errors.Is(err, fs.ErrNotExist))
		}
		fmt.Println()
	}
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
current -> versions/of-this-probe: unpacked below the target true, listed as current/tool, which is there true
current -> /versions/of-this-probe: unpacked below the target true, listed as current/tool, which is there false
SEEN
