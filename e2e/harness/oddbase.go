package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// PipedBase makes an image of busybox whose own layer holds /srv/q/pipe, a named
// pipe, and returns its reference as the cluster pulls it.
func (c *Cluster) PipedBase(ctx context.Context, repository string) (string, error) {
	base, err := c.base(ctx, "library/busybox:latest")
	if err != nil {
		return "", err
	}
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	if err := w.WriteHeader(&tar.Header{Name: "srv/q/pipe", Typeflag: tar.TypeFifo, Mode: 0o644}); err != nil {
		return "", fmt.Errorf("make a layer: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("make a layer: %w", err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil })
	if err != nil {
		return "", fmt.Errorf("make a layer: %w", err)
	}
	img, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return "", fmt.Errorf("make an image: %w", err)
	}
	ref, err := name.ParseReference(c.RegistryPush+"/"+repository, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", repository, err)
	}
	if err := remote.Write(ref, img, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push %s: %w", repository, err)
	}
	return c.Registry + "/" + repository, nil
}
