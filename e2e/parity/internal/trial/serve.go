package trial

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/e2e/parity/internal/baseimage"
	"kiln/e2e/parity/internal/corpus"
	"kiln/internal/preflight"
)

// Serve runs an empty registry on the address until the context ends.
//
// It sends blobs whole: BuildKit goes on with a download that a failed build cut
// off, and where nothing was missing the registry has no such range.
func Serve(ctx context.Context, address string) error {
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	return serve(ctx, address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		images.ServeHTTP(w, r)
	}))
}

// ServeFiles runs a web server with what Dockerfiles of the corpus download,
// until the context ends.
func ServeFiles(ctx context.Context, address string) error {
	files := http.NewServeMux()
	modified := time.Unix(1_300_000_000, 0)
	for _, name := range []string{"file.txt", "archive.tar.gz"} {
		files.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, name, modified, bytes.NewReader([]byte("content of "+name+"\n")))
		})
	}
	return serve(ctx, address, files)
}

func serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }() // it returns when it is closed
	return nil
}

// serveBases puts the images that a Dockerfile names into the registry, which
// stands for every other one. A Dockerfile that cannot be read names none.
func (b *Bench) serveBases(dockerfile string, c corpus.Case) error {
	data, err := os.ReadFile(dockerfile)
	if err != nil {
		return nil //nolint:nilerr // the builders say what is wrong with it
	}
	images, err := preflight.Parse("Dockerfile", data)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	for _, image := range images.Images {
		if err := b.serveBase(image.Reference, c.Bases); err != nil {
			return fmt.Errorf("%s: serve %s: %w", c.ID(), image.Reference, err)
		}
	}
	return nil
}

func (b *Bench) serveBase(reference string, bases map[string]string) error {
	named, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	base, found := bases[reference]
	if !found {
		base = baseimage.For(named.Context().RepositoryStr())
	}
	if base == "none" {
		return nil
	}
	made, err := baseimage.Make(base, b.Busybox, b.Debian)
	if err != nil {
		return err
	}
	local, err := name.ParseReference(b.Registry + "/" + named.Context().RepositoryStr() + ":" + tagOf(named))
	if err != nil {
		return err
	}
	if index, ok := made.(v1.ImageIndex); ok {
		return remote.WriteIndex(local, index)
	}
	return remote.Push(local, made)
}

// tagOf is the tag of a reference; a digest is served under any.
func tagOf(reference name.Reference) string {
	if tag, ok := reference.(name.Tag); ok {
		return tag.TagStr()
	}
	return "pinned"
}
