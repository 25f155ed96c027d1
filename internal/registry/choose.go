package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxIndexes bounds how deep indexes may lie in one another.
	maxIndexes = 8
	// maxNamed bounds how many platforms an error names.
	maxNamed = 8
)

// errPlatform marks an image that is not there for the platform.
var errPlatform = errors.New("there is no image for")

// choice is the image that is taken of an index.
type choice struct {
	digest   string
	manifest manifest
	// unsaid says that the index does not tell the image's platform.
	unsaid bool
	// differ says that the executor would take another.
	differ bool
}

// runsOn says which platforms can run on linux/arch, and which of them is
// preferred.
func runsOn(arch string) platforms.MatchComparer {
	return platforms.Only(specs.Platform{OS: "linux", Architecture: arch})
}

// choose follows digest, an image or an index, to the image that BuildKit takes
// for linux/arch.
func (c *Client) choose(ctx context.Context, repo name.Repository, digest, arch string) (choice, error) {
	chosen := choice{digest: digest}
	for range maxIndexes {
		var err error
		if chosen.manifest, err = c.manifest(ctx, repo, chosen.digest); err != nil || !chosen.manifest.isIndex() {
			return chosen, err
		}
		entry, found := chosen.manifest.best(arch)
		if !found {
			return choice{}, fmt.Errorf("%w linux/%s: it is for %s", errPlatform, arch, chosen.manifest.platforms())
		}
		chosen.differ = chosen.differ || chosen.manifest.first(arch) != entry.Digest
		chosen.digest, chosen.unsaid = entry.Digest, entry.Platform == nil
	}
	return choice{}, fmt.Errorf("%w: its indexes lie in one another more than %d deep", errUnfit, maxIndexes)
}

// best returns the entry that BuildKit follows (containerd, core/images/image.go,
// Manifest): of those that fit and those that do not say their platform the one
// with the best platform, those that do not say it last, the first among equals.
func (m manifest) best(arch string) (descriptor, bool) {
	fits := runsOn(arch)
	entries := slices.DeleteFunc(slices.Clone(m.Manifests), func(d descriptor) bool {
		return d.Platform != nil && !fits.Match(*d.Platform)
	})
	if len(entries) == 0 {
		return descriptor{}, false
	}
	slices.SortStableFunc(entries, func(a, b descriptor) int {
		switch {
		case b.Platform == nil && a.Platform == nil:
			return 0
		case b.Platform == nil:
			return -1
		case a.Platform == nil:
			return 1
		case fits.Less(*a.Platform, *b.Platform):
			return -1
		case fits.Less(*b.Platform, *a.Platform):
			return 1
		}
		return 0
	})
	return entries[0], true
}

// first returns the digest of the entry that the executor follows by itself, or
// "" (github.com/google/go-containerregistry, pkg/v1/remote/index.go,
// childByPlatform): the first of the system and architecture, whatever its
// variant; one that does not say its platform counts as linux/amd64.
func (m manifest) first(arch string) string {
	for _, d := range m.Manifests {
		said := specs.Platform{OS: "linux", Architecture: "amd64"}
		if d.Platform != nil {
			said = *d.Platform
		}
		if said.OS == "linux" && said.Architecture == arch {
			return d.Digest
		}
	}
	return ""
}

// platforms are the platforms of an index, for a person.
func (m manifest) platforms() string {
	var names []string
	for _, d := range m.Manifests {
		if d.Platform == nil || d.Platform.OS == "unknown" { // an attestation
			continue
		}
		if named := oneLine(platforms.Format(*d.Platform)); !slices.Contains(names, named) {
			names = append(names, named)
		}
	}
	switch {
	case len(names) == 0:
		return "no platform at all"
	case len(names) > maxNamed:
		names = append(names[:maxNamed], "…")
	}
	return strings.Join(names, ", ")
}

// Pin names reference, an image of a Dockerfile that is b, as a gate is to answer
// for it. A tag is answered with the very image, "alpine:3.20@sha256:...", for the
// executor takes another one of some indexes. A digest can only be answered with
// what has it: same is false where that is an index of which the executor takes
// another image.
func (b Base) Pin(reference string) (pinned string, same bool, err error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return "", false, fmt.Errorf("image %q: %w", reference, err)
	}
	if tag, ok := parsed.(name.Tag); ok {
		return tag.Context().Name() + ":" + tag.TagStr() + "@" + b.Manifest, true, nil
	}
	return reference, !b.Differ, nil
}
