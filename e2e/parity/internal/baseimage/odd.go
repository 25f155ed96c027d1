package baseimage

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
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
	case "env-long":
		c.Env = append(c.Env, "LONG="+strings.Repeat("x", 70<<10))
	case "trigger-entrypoint":
		c.OnBuild, c.Cmd = []string{`ENTRYPOINT ["/bin/echo"]`}, []string{"base"}
	case "start-interval":
		c.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Minute}
	case "kept":
		c.Env = append(c.Env, "A B=c d", `QUOTED="x" $HOME 'y' \z`, "LINES=a\nb", "A-B=1", "HOME=/elsewhere")
		c.Labels = map[string]string{"quoted": `$HOME "x" 'y' \z`, "b c": "d\ne", "": "no name", "empty": ""}
		c.ExposedPorts = map[string]struct{}{"80": {}, "8000-8002/tcp": {}, "53/UDP": {}, "9/sctp": {}}
		c.Volumes = map[string]struct{}{"/data/": {}, "relative": {}, "/a/../b": {}, "": {}, "/": {}}
		c.Entrypoint, c.Cmd, c.StopSignal = []string{""}, []string{"echo $A"}, "RTMIN+3"
		c.Shell = []string{"/bin/sh", "-ec"}
		c.Healthcheck = &v1.HealthConfig{Test: []string{"CMD-SHELL", "true"}, Timeout: time.Second, StartPeriod: time.Second, Retries: 3}
	default:
		return placed(name, c)
	}
	return layers, true
}

// placed is configure for bases with a user, a working directory, or volumes where they
// matter. "user-NAME" and "user-NAME-GROUP" have that user.
func placed(name string, c *v1.Config) (layers [][]entry, found bool) {
	if user, found := strings.CutPrefix(name, "user-"); found {
		c.User = strings.ReplaceAll(user, "-", ":")
		return [][]entry{{
			text("etc/passwd", "root:x:0:0::/root:/bin/sh\nmary:x:12:100::/home/mary:/bin/sh\nsam:x:2000:2000::/home/sam:/bin/sh\n"),
			text("etc/group", "root:x:0:\nstaff:x:100:\nothers:x:200:mary\nsam:x:2000:\n"),
		}}, true
	}
	switch name {
	case "workdir-missing":
		c.WorkingDir = "/not/there"
	case "workdir-missing-user":
		c.WorkingDir, c.User = "/not/there", "daemon"
	case "workdir-dots":
		c.WorkingDir = "/srv/../opt/x"
	case "workdir-link":
		c.WorkingDir = "/l/deep"
		layers = [][]entry{{dir("opt/", 0), dir("opt/deep/", 0), link("l", "opt")}}
	case "volume-workdir":
		c.WorkingDir, c.Volumes = "/data", map[string]struct{}{"/data": {}, "/tmp": {}, "/none": {}}
		layers = [][]entry{{dir("data/", 0), file("data/seed", 0o644, 0)}}
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
	case "start-interval":
		return startInterval(img)
	}
	return img, nil
}

// startInterval gives the HEALTHCHECK of an image what the library does not know.
func startInterval(img v1.Image) (remote.Taggable, error) {
	raw, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	changed := whole{Image: img, config: bytes.Replace(raw, []byte(`"Interval":`), []byte(`"StartInterval":1000000000,"Interval":`), 1)}
	if manifest.Config.Digest, manifest.Config.Size, err = v1.SHA256(bytes.NewReader(changed.config)); err != nil {
		return nil, err
	}
	if changed.manifest, err = json.Marshal(manifest); err != nil {
		return nil, err
	}
	return partial.CompressedToImage(changed)
}

// whole is an image with another configuration.
type whole struct {
	v1.Image
	config, manifest []byte
}

// RawConfigFile implements partial.CompressedImageCore.
func (w whole) RawConfigFile() ([]byte, error) { return w.config, nil }

// RawManifest implements partial.CompressedImageCore.
func (w whole) RawManifest() ([]byte, error) { return w.manifest, nil }

// LayerByDigest implements partial.CompressedImageCore.
func (w whole) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	if config, err := partial.ConfigLayer(w); err == nil {
		if own, err := config.Digest(); err == nil && own == digest {
			return config, nil
		}
	}
	return w.Image.LayerByDigest(digest)
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
