package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// errUnfit marks an image on which the executor cannot build what the gate may
// push.
var errUnfit = errors.New("it cannot be built upon")

// LayerTypes are the media types of layers that a registry itself holds:
// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md,
// https://distribution.github.io/distribution/spec/manifest-v2-2/, and Docker's
// with zstd, which BuildKit writes. Those of foreign and non-distributable
// layers, which come from elsewhere, are missing on purpose. The slice is the
// caller's.
func LayerTypes() []string {
	return []string{
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.v1.tar+gzip",
		"application/vnd.oci.image.layer.v1.tar+zstd",
	}
}

// layer is what is read of a layer's descriptor: where it is, and what decides
// whether an image that has it may be pushed.
type layer struct {
	Digest       string          `json:"digest"`
	Size         int64           `json:"size"`
	MediaType    string          `json:"mediaType"`
	URLs         []string        `json:"urls"`
	Data         json.RawMessage `json:"data"`
	Platform     json.RawMessage `json:"platform"`
	ArtifactType string          `json:"artifactType"`
}

// fit returns an error if an image on top of m would have what no gate lets
// through: the executor takes a base's layers over as they are described, and
// the members of its manifest too.
func (m manifest) fit() error {
	if m.Subject != nil && string(m.Subject) != "null" {
		return fmt.Errorf("%w: it is attached to another image (subject)", errUnfit)
	}
	for i, l := range m.Layers {
		switch {
		case !slices.Contains(LayerTypes(), l.MediaType):
			return fmt.Errorf("%w: its layer %d has the media type %q, which is not one of layers that the registry itself holds", errUnfit, i+1, oneLine(l.MediaType))
		case len(l.URLs) > 0 || l.Data != nil || l.Platform != nil || l.ArtifactType != "":
			return fmt.Errorf("%w: its layer %d is described by more than its type, digest and size (urls, data, platform or artifactType)", errUnfit, i+1)
		}
	}
	return nil
}

// maxKeptLayers bounds the layers of a base image that are kept; runtimes take 127.
const maxKeptLayers = 127

// layerDigests are the digests of a manifest's layers; none where there are too many, or
// one has another form.
func (m manifest) layerDigests() []string {
	if len(m.Layers) > maxKeptLayers {
		return nil
	}
	var digests []string
	for _, l := range m.Layers {
		if !isDigest(l.Digest) {
			return nil
		}
		digests = append(digests, l.Digest)
	}
	return digests
}
