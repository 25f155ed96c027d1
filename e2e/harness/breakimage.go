package harness

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// BreakImage gives the image, named as the cluster pulls it and with its tag, a
// further layer that the registry does not have: it can be looked up and not
// pulled, as after a clean-up that went wrong.
func (c *Cluster) BreakImage(ctx context.Context, image string) error {
	ref, err := name.ParseReference(c.RegistryPush+strings.TrimPrefix(image, c.Registry), name.Insecure)
	if err != nil {
		return fmt.Errorf("break image: %w", err)
	}
	whole, err := remote.Image(ref, remote.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("break image: %w", err)
	}
	broken, err := mutate.AppendLayers(whole, static.NewLayer([]byte(rand.Text()), types.DockerLayer))
	if err != nil {
		return fmt.Errorf("break image: %w", err)
	}
	config, err := broken.RawConfigFile()
	if err != nil {
		return fmt.Errorf("break image: %w", err)
	}
	if err := remote.WriteLayer(ref.Context(), static.NewLayer(config, types.DockerConfigJSON), remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("break image: %w", err)
	}
	if err := remote.Put(ref, broken, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("break image: %w", err)
	}
	return nil
}
