package image

import (
	"compress/gzip"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// SearchPath is the PATH that Docker gives an image that sets none.
const SearchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Fast compresses a layer quickly rather than well: the layers never leave the
// machine.
func Fast() tarball.LayerOption { return tarball.WithCompressionLevel(gzip.BestSpeed) }

// New makes an image of the layers, for this machine's architecture.
func New(config v1.Config, architecture string, layers ...v1.Layer) (v1.Image, error) {
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: architecture,
		OS:           "linux",
		Created:      v1.Time{Time: epoch()},
		RootFS:       v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	filled, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		return nil, fmt.Errorf("add layers: %w", err)
	}
	image, err := mutate.Config(filled, config)
	if err != nil {
		return nil, fmt.Errorf("configure image: %w", err)
	}
	return image, nil
}

func epoch() time.Time { return time.Unix(0, 0).UTC() }
