package baseimage

import (
	"archive/tar"
	"runtime"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// zstdLayer is the media type that BuildKit 0.10 gave to layers which zstd
// compressed in an image of Docker's kind.
const zstdLayer types.MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"

// odd is configure for what few images have.
func odd(name string, c *v1.Config) (layers [][]entry, found bool) {
	switch name {
	case "nopath":
		c.Env = []string{"container=oci"}
	case "env-bare":
		c.Env = append(c.Env, "BARE")
	case "env-nameless":
		c.Env = append(c.Env, "=nameless")
	case "env-twice":
		c.Env = append(c.Env, "TWICE=1", "TWICE=2")
	case "env-none":
		c.Env = nil
	case "workdir-relative":
		c.WorkingDir = "srv"
		layers = [][]entry{{dir("srv/", 0)}}
	case "special":
		layers = [][]entry{{
			dir("srv/q/", 0), file("srv/q/file", 0o644, 0),
			special("srv/q/pipe", tar.TypeFifo, 0, 0), special("srv/q/null", tar.TypeChar, 1, 3),
		}}
	case "special-dev":
		layers = [][]entry{{dir("dev/", 0), special("dev/console", tar.TypeChar, 5, 1), file("opt/f", 0o644, 0)}}
	case "special-gone":
		layers = [][]entry{
			{dir("srv/q/", 0), special("srv/q/pipe", tar.TypeFifo, 0, 0)},
			{file("srv/.wh.q", 0, 0)},
		}
	case "opaque":
		layers = [][]entry{
			{dir("opt/a/", 0), file("opt/a/old", 0o644, 0), dir("opt/a/sub/", 0), file("opt/a/sub/x", 0o644, 0)},
			{dir("opt/a/", 0), file("opt/a/.wh..wh..opq", 0, 0), file("opt/a/new", 0o644, 0)},
		}
	case "opaque-nothing":
		layers = [][]entry{{dir("opt/a/", 0), file("opt/a/.wh..wh..opq", 0, 0), file("opt/a/new", 0o644, 0)}}
	case "whiteouts":
		layers = [][]entry{
			{dir("opt/a/", 0), file("opt/a/kept", 0o644, 0), file("opt/a/gone", 0o644, 0)},
			{file("opt/a/.wh.gone", 0, 0)},
		}
	case "zstd-docker", "nested", "noplatform":
		layers = [][]entry{{file("opt/"+name, 0o644, 0)}}
	default:
		return nil, false
	}
	return layers, true
}

// format is how the layers of a base are compressed.
func format(name string) []tarball.LayerOption {
	if name != "zstd-docker" {
		return nil
	}
	return []tarball.LayerOption{tarball.WithCompression(compression.ZStd), tarball.WithMediaType(zstdLayer)}
}

// wrap puts an image into the index that a base is.
func wrap(name string, img v1.Image) (remote.Taggable, error) {
	switch name {
	case "nested":
		attestation, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "unknown", Architecture: "unknown"})
		if err != nil {
			return nil, err
		}
		return index(own(), index(own(), img, attestation)), nil
	case "noplatform":
		return index(nil, img), nil
	}
	return img, nil
}

// own is the platform that Dockerfiles are built for here.
func own() *v1.Platform { return &v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// index lists images, the first with a platform, the others with that of
// BuildKit's attestations.
func index(platform *v1.Platform, listed ...mutate.Appendable) v1.ImageIndex {
	made := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, each := range listed {
		descriptor := v1.Descriptor{Platform: platform}
		if i > 0 {
			descriptor.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
		}
		made = mutate.AppendManifests(made, mutate.IndexAddendum{Add: each, Descriptor: descriptor})
	}
	return made
}
