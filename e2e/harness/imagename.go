package harness

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// NameImage gives an image of the local registry, by the reference by which the cluster
// pulls it, a further name: a repository and a tag. It returns the references by that
// name and by the digest alone.
func (c *Cluster) NameImage(ctx context.Context, image, as string) (byTag, byDigest string, err error) {
	from, err := name.ParseReference(c.RegistryPush+strings.TrimPrefix(image, c.Registry), name.Insecure)
	if err != nil {
		return "", "", fmt.Errorf("name image: %w", err)
	}
	to, err := name.ParseReference(c.RegistryPush+"/"+as, name.Insecure)
	if err != nil {
		return "", "", fmt.Errorf("name image: %w", err)
	}
	content, err := remote.Image(from, remote.WithContext(ctx))
	if err != nil {
		return "", "", fmt.Errorf("name image %s: %w", image, err)
	}
	if err := remote.Write(to, content, remote.WithContext(ctx)); err != nil {
		return "", "", fmt.Errorf("name image %s: %w", image, err)
	}
	digest, err := content.Digest()
	if err != nil {
		return "", "", fmt.Errorf("name image %s: %w", image, err)
	}
	repository, _, _ := strings.Cut(as, ":")
	return c.Registry + "/" + as, c.Registry + "/" + repository + "@" + digest.String(), nil
}
