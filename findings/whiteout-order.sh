#!/usr/bin/env bash
# A layer whose whiteout stands before or after the entry that replaces what it hides. The
# image specification gives the order no meaning: a whiteout is about lower layers alone.
#
#   go-containerregistry v0.22.1 (crane, Kaniko): a whiteout that stands first also takes
#     the new entries of its own layer, a directory with all that is in it
#   containerd v2.4.2 and moby/go-archive v0.3.3 (dockerd): one that stands last takes the
#     new file; an opaque marker that stands last takes new files in directories that have
#     no entry of their own, as layers packed from a list of files have none
#   umoci v0.6.0: keeps every new file
#
# What writes layers itself has to put whiteouts first for the engines, but then the image
# that crane exports or flattens lacks files that the running one has.
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
	github.com/google/go-containerregistry v0.22.1
	github.com/moby/go-archive v0.3.3
	github.com/opencontainers/umoci v0.6.0
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
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	containerd "github.com/containerd/containerd/v2/pkg/archive"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	moby "github.com/moby/go-archive"
	umoci "github.com/opencontainers/umoci/oci/layer"
)

// lower is the layer below each of uppers; a name with a slash at its end is a directory.
var (
	lower  = pack("file", "dir/", "dir/old")
	uppers = [][]string{
		{".wh.file", "file"},
		{"file", ".wh.file"},
		{".wh.dir", "dir/", "dir/new"},
		{"dir/sub/new", "dir/.wh..wh..opq"},
	}
)

func main() {
	for _, names := range uppers {
		upper := pack(names...)
		fmt.Println(strings.Join(names, " "))
		fmt.Println("  go-containerregistry:", extracted(lower, upper))
		fmt.Println("  containerd:", applied(upper, func(dir string, layer io.Reader) error {
			_, err := containerd.Apply(context.Background(), dir, layer)
			return err
		}))
		fmt.Println("  go-archive:", applied(upper, func(dir string, layer io.Reader) error {
			_, err := moby.UnpackLayer(dir, layer, &moby.TarOptions{})
			return err
		}))
		fmt.Println("  umoci:", applied(upper, func(dir string, layer io.Reader) error {
			return umoci.UnpackLayer(dir, layer, &umoci.UnpackOptions{})
		}))
	}
}

// applied are the files of the image whose layers apply unpacks, the lower one first.
func applied(upper []byte, apply func(dir string, layer io.Reader) error) (files []string) {
	dir, err := os.MkdirTemp(".", "root")
	check(err)
	check(apply(dir, bytes.NewReader(lower)))
	check(apply(dir, bytes.NewReader(upper)))
	check(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(path, filepath.Clean(dir)+"/"))
		}
		return err
	}))
	return files
}

// extracted are the files of the flattened image.
func extracted(layers ...[]byte) (files []string) {
	image := v1.Image(empty.Image)
	for _, content := range layers {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		check(err)
		image, err = mutate.AppendLayers(image, layer)
		check(err)
	}
	reader := tar.NewReader(mutate.Extract(image))
	for header, err := reader.Next(); err != io.EOF; header, err = reader.Next() {
		check(err)
		if header.Typeflag == tar.TypeReg {
			files = append(files, header.Name)
		}
	}
	slices.Sort(files)
	return files
}

func pack(names ...string) []byte {
	var layer bytes.Buffer
	writer := tar.NewWriter(&layer)
	for _, name := range names {
		check(writer.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Uid: os.Getuid(), Gid: os.Getgid()}))
	}
	check(writer.Close())
	return layer.Bytes()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
.wh.file file
  go-containerregistry: [dir/old]
  containerd: [dir/old file]
  go-archive: [dir/old file]
  umoci: [dir/old file]
file .wh.file
  go-containerregistry: [dir/old file]
  containerd: [dir/old]
  go-archive: [dir/old]
  umoci: [dir/old file]
.wh.dir dir/ dir/new
  go-containerregistry: [file]
  containerd: [dir/new file]
  go-archive: [dir/new file]
  umoci: [dir/new file]
dir/sub/new dir/.wh..wh..opq
  go-containerregistry: [dir/sub/new file]
  containerd: [file]
  go-archive: [file]
  umoci: [dir/sub/new file]
SEEN
