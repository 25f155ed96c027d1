// Package executor finds the image of a Kaniko executor, wherever it is kept, and
// tells which fork it holds.
package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	kaniko "kiln/internal/executor"
)

// Flavor tells which Kaniko an image holds: what setting says, in the form of
// KILN_KANIKO_FLAVOR, else what the image's reference tells. No image is the one
// that the local cluster builds.
func Flavor(image, setting string) (kaniko.Flavor, error) {
	switch {
	case setting != "":
		return kaniko.ParseFlavor(setting)
	case image == "":
		return kaniko.Flavor{Name: kaniko.Chainguard, Version: "1.25.16"}, nil
	}
	flavor, err := kaniko.ImageFlavor(image)
	if err != nil {
		return flavor, fmt.Errorf("%w; here --flavor says it", err)
	}
	return flavor, nil
}

// Save writes the executor's image for this machine's platform to a file, as
// docker save does. The image is an OCI layout (a directory), an archive of docker
// save or crane (a file), or a reference, which is pulled with the credentials of
// the Docker configuration.
func Save(ctx context.Context, image, file string) error {
	img, err := open(ctx, image)
	if err != nil {
		return fmt.Errorf("executor %s: %w", image, err)
	}
	tag, err := name.NewTag("kiln.build/executor:parity")
	if err != nil {
		return err
	}
	if err := tarball.WriteToFile(file, tag, img); err != nil {
		return fmt.Errorf("save executor %s: %w", image, err)
	}
	return nil
}

func open(ctx context.Context, image string) (v1.Image, error) {
	info, err := os.Stat(image)
	switch {
	case err == nil && info.IsDir():
		return fromLayout(image)
	case err == nil:
		return tarball.ImageFromPath(image, nil)
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	reference, err := name.ParseReference(image)
	if err != nil {
		return nil, fmt.Errorf("it is no file, no directory and no image reference: %w", err)
	}
	return remote.Image(reference, remote.WithContext(ctx), remote.WithPlatform(platform()), remote.WithAuthFromKeychain(authn.DefaultKeychain))
}

func platform() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// fromLayout takes the image for the platform, or the only one.
func fromLayout(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	for {
		manifest, err := index.IndexManifest()
		if err != nil {
			return nil, err
		}
		found, ok := choose(manifest.Manifests)
		if !ok {
			return nil, fmt.Errorf("the layout holds no image for %s", platform())
		}
		if found.MediaType.IsImage() {
			return index.Image(found.Digest)
		}
		if index, err = index.ImageIndex(found.Digest); err != nil {
			return nil, err
		}
	}
}

// choose takes the manifest for the platform, else the only one.
func choose(manifests []v1.Descriptor) (v1.Descriptor, bool) {
	for _, m := range manifests {
		if m.Platform != nil && m.Platform.Satisfies(platform()) {
			return m, true
		}
	}
	if len(manifests) == 1 && manifests[0].Platform == nil {
		return manifests[0], true
	}
	return v1.Descriptor{}, false
}
