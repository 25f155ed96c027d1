package assemble

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// dockerZstd is the type that BuildKit gives to layers which zstd compressed in an
// image of Docker's kind.
const dockerZstd types.MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"

// docker returns the type of a layer in an image of Docker's kind, and whether there
// is one.
func docker(of types.MediaType) (types.MediaType, bool) {
	switch of {
	case types.OCILayer, types.DockerLayer:
		return types.DockerLayer, true
	case types.OCIUncompressedLayer, types.DockerUncompressedLayer:
		return types.DockerUncompressedLayer, true
	case types.OCILayerZStd, dockerZstd:
		return dockerZstd, true
	}
	return of, false
}

// Manifest returns the manifest of an image with its type: the base part's, as it is
// stored and empty for scratch, with another configuration and, where a layer was
// written, one more layer. It is of the base part's kind, and of Docker's where that is
// OCI's and the image has a health check, which OCI's configuration does not know.
func (i *Image) Manifest(base, config []byte, layer *Layer) ([]byte, types.MediaType, error) {
	m := &v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2}
	if len(base) > 0 {
		var err error
		if m, err = v1.ParseManifest(bytes.NewReader(base)); err != nil {
			return nil, "", fmt.Errorf("the manifest of the base part's image: %w", err)
		}
	}
	made := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2, Config: v1.Descriptor{MediaType: types.DockerConfigJSON}}
	oci := m.MediaType == types.OCIManifestSchema1 || m.MediaType == "" && m.Config.MediaType == types.OCIConfigJSON
	added := types.DockerLayer
	if oci && i.config.image.Config.Healthcheck == nil {
		made.MediaType, made.Config.MediaType, added = types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer
	}
	sum := sha256.Sum256(config)
	made.Config.Digest, made.Config.Size = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, int64(len(config))
	for _, of := range m.Layers {
		kind := of.MediaType
		if made.MediaType == types.DockerManifestSchema2 {
			var known bool
			if kind, known = docker(kind); !known {
				return nil, "", fmt.Errorf("a layer of the type %q", of.MediaType)
			}
		}
		made.Layers = append(made.Layers, v1.Descriptor{MediaType: kind, Size: of.Size, Digest: of.Digest})
	}
	if layer != nil {
		digest, err := v1.NewHash(layer.Digest)
		if err != nil {
			return nil, "", err
		}
		made.Layers = append(made.Layers, v1.Descriptor{MediaType: added, Size: layer.Size, Digest: digest})
	}
	if made.Layers == nil {
		made.Layers = []v1.Descriptor{}
	}
	data, err := json.Marshal(made)
	return data, made.MediaType, err
}
