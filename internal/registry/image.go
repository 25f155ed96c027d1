package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/types"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxTriggers bounds the ONBUILD triggers of an image, in bytes; they are
// remembered.
const maxTriggers = 64 << 10

// maxShell bounds the SHELL of an image, in bytes.
const maxShell = 4 << 10

// maxEnv bounds the environment of a base image that is kept, in bytes.
const maxEnv = 64 << 10

// Image is what kiln has to know of an image that it built.
type Image struct {
	// Digest is that of the manifest, computed from its bytes.
	Digest string
	// Created is when the image says that it was built; zero if it does not, or
	// not as a time. Whoever may push writes it.
	Created time.Time
	// Labels are those of the image's configuration; whoever wrote the
	// Dockerfile chose them.
	Labels map[string]string
	// Comment is that of the last entry of its history. Whoever may push writes it.
	Comment string
	// Start is how its containers start.
	Start Start
}

// manifest is what is read of an image manifest or an index.
type manifest struct {
	MediaType string       `json:"mediaType"`
	Config    descriptor   `json:"config"`
	Manifests []descriptor `json:"manifests"`
	Layers    []layer      `json:"layers"`

	Subject json.RawMessage `json:"subject"`
}

type descriptor struct {
	Digest   string          `json:"digest"`
	Platform *specs.Platform `json:"platform"`
}

// imageConfig is what is read of an image's configuration.
type imageConfig struct {
	specs.Platform
	Created string `json:"created"`
	History []struct {
		Comment string `json:"comment"`
	} `json:"history"`
	Config struct {
		Labels  map[string]string `json:"Labels"`
		OnBuild []string          `json:"OnBuild"`
		Shell   []string          `json:"Shell"`

		User       string   `json:"User"`
		Entrypoint []string `json:"Entrypoint"`
		Cmd        []string `json:"Cmd"`
		Env        []string `json:"Env"`
		WorkingDir string   `json:"WorkingDir"`

		ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		Healthcheck  *Healthcheck        `json:"Healthcheck"`
	} `json:"config"`
}

// isIndex reports whether m lists manifests. An OCI index may come without a
// media type.
func (m manifest) isIndex() bool {
	return m.MediaType == string(types.OCIImageIndex) || m.MediaType == string(types.DockerManifestList) || len(m.Manifests) > 0
}

// Image reads the image under reference, a tag or a digest, with the
// credentials for pushing: its manifest and its config, each bounded in size.
// Nothing is remembered. It must be an image for one platform, not an index.
//
// Errors are of type [*LookupError]. Some registries answer [Denied] for a
// repository that does not exist before the first push to it.
func (c *Client) Image(ctx context.Context, reference string) (Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return Image{}, &LookupError{Reference: reference, Kind: Malformed, Err: err}
	}
	image, err := insist(ctx, c, ref.Context(), func(ctx context.Context, repo name.Repository) (Image, error) {
		return c.image(ctx, document{repo: repo, kind: "manifests", id: ref.Identifier()})
	})
	if err != nil {
		return Image{}, &LookupError{Reference: reference, Kind: kindOf(err), Err: err}
	}
	return image, nil
}

func (c *Client) image(ctx context.Context, d document) (Image, error) {
	content, err := c.read(ctx, c.push, d)
	if err != nil {
		return Image{}, err
	}
	var m manifest
	if err := decode(content, &m); err != nil {
		return Image{}, err
	}
	if m.isIndex() {
		return Image{}, fmt.Errorf("%w: it is an index of images, which kiln never pushes", errMalformed)
	}
	config, err := c.config(ctx, c.push, d.repo, m)
	if err != nil {
		return Image{}, err
	}
	created, err := time.Parse(time.RFC3339Nano, config.Created)
	if err != nil {
		created = time.Time{}
	}
	return Image{Digest: digestOf(content), Created: created, Labels: config.Config.Labels, Comment: config.comment(), Start: config.start()}, nil
}

// comment is that of the last entry of the history.
func (c imageConfig) comment() string {
	if len(c.History) == 0 {
		return ""
	}
	return c.History[len(c.History)-1].Comment
}

// config reads the configuration of the image that m describes.
func (c *Client) config(ctx context.Context, keychain authn.Keychain, repo name.Repository, m manifest) (imageConfig, error) {
	if !isDigest(m.Config.Digest) {
		return imageConfig{}, fmt.Errorf("%w: the manifest names no config", errMalformed)
	}
	content, err := c.read(ctx, keychain, document{repo: repo, kind: "blobs", id: m.Config.Digest})
	if err != nil {
		return imageConfig{}, err
	}
	var config imageConfig
	return config, decode(content, &config)
}

// Base is what a build has to know of the configuration of a base image.
type Base struct {
	// Triggers are its ONBUILD triggers.
	Triggers []string
	// Shell is its SHELL, empty for Docker's own.
	Shell []string
	// Manifest is the digest of the image itself, which Docker takes of an index.
	Manifest string
	// Differ says that the executor, given the index, takes another one or none.
	Differ bool
	// Start is how a container of it starts.
	Start Start
	// Serving is what it says of a service.
	Serving Serving
	// Environment is what is odd about its environment and working directory.
	Environment Environment
	// Env is the environment itself, and Whole says that it is not too long to be kept.
	Env   []string
	Whole bool
	// Layers are the digests of its layers, the lowest first; none where there are too
	// many to be kept, or one has no sha256 digest.
	Layers []string
}

// Base reads the configuration of reference, a base image, at digest for
// linux/arch; an index is followed to that platform's manifest. It is
// remembered by digest. The caller does not change the lists.
//
// Errors are of type [*LookupError].
func (c *Client) Base(ctx context.Context, reference, digest, arch string) (Base, error) {
	ref, err := name.ParseReference(reference)
	if err == nil && !isDigest(digest) {
		err = errors.New("its digest is not sha256: and 64 hexadecimal digits")
	}
	if err != nil {
		return Base{}, &LookupError{Reference: reference, Kind: Malformed, Err: err}
	}
	base, err := c.bases.get(ctx, ref.Context().Name()+"@"+digest+" "+arch, func(ctx context.Context) (Base, error) {
		return fetch(ctx, c, ref.Context(), func(ctx context.Context, repo name.Repository) (Base, error) {
			return c.base(ctx, repo, digest, arch)
		})
	})
	if err != nil {
		return Base{}, &LookupError{Reference: reference, Kind: kindOf(err), Err: err}
	}
	return base, nil
}

func (c *Client) base(ctx context.Context, repo name.Repository, digest, arch string) (Base, error) {
	chosen, err := c.choose(ctx, repo, digest, arch)
	if err != nil {
		return Base{}, err
	}
	if err := chosen.manifest.fit(); err != nil {
		return Base{}, err
	}
	config, err := c.config(ctx, c.pull, repo, chosen.manifest)
	if err != nil {
		return Base{}, err
	}
	if chosen.unsaid && !runsOn(arch).Match(config.Platform) {
		return Base{}, fmt.Errorf("%w linux/%s: an index names one that does not say its platform, and is for %s", errPlatform, arch, platforms.Format(config.Platform))
	}
	base := Base{
		Triggers: config.Config.OnBuild, Shell: config.Config.Shell,
		Manifest: chosen.digest, Differ: chosen.differ, Layers: chosen.manifest.layerDigests(),
		Start: config.start(), Serving: config.serving(), Environment: config.environment(),
	}
	if base.Whole = !base.Environment.Long; base.Whole {
		base.Env = config.Config.Env
	}
	if size := len(strings.Join(base.Triggers, "\n")); size > maxTriggers {
		return Base{}, fmt.Errorf("%w: the ONBUILD triggers take %d bytes, more than %d", errMalformed, size, maxTriggers)
	}
	if size := len(strings.Join(base.Shell, "\n")); size > maxShell {
		return Base{}, fmt.Errorf("%w: its SHELL takes %d bytes, more than %d", errMalformed, size, maxShell)
	}
	return base, nil
}

// manifest reads a manifest of a base image.
func (c *Client) manifest(ctx context.Context, repo name.Repository, digest string) (manifest, error) {
	if !isDigest(digest) {
		return manifest{}, fmt.Errorf("%w: the index names a manifest by no sha256 digest", errMalformed)
	}
	content, err := c.read(ctx, c.pull, document{repo: repo, kind: "manifests", id: digest})
	if err != nil {
		return manifest{}, err
	}
	var m manifest
	return m, decode(content, &m)
}
