package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

const (
	envMirrors  = "KILN_REGISTRY_MIRRORS"
	envInsecure = "KILN_INSECURE_REGISTRIES"
)

// Mirrors maps a registry to the prefix below which the same repositories are
// found as well, "index.docker.io" to "kiln-registry:5000" for instance. It is
// read only after [ParseMirrors].
type Mirrors map[string]string

// ParseMirrors reads a list of "registry=mirror" pairs, the form of
// KILN_REGISTRY_MIRRORS. A mirror may have a path, as pull-through caches do:
// "docker.io=harbor.example.com/dockerhub".
func ParseMirrors(pairs []string) (Mirrors, error) {
	mirrors := Mirrors{}
	for _, pair := range pairs {
		from, to, found := strings.Cut(pair, "=")
		if !found {
			return nil, fmt.Errorf("%s: %q has no \"=\": write docker.io=mirror.example.com", envMirrors, pair)
		}
		origin, err := Canonical(from)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", envMirrors, err)
		}
		mirror, err := prefix(to)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", envMirrors, err)
		}
		mirrors[origin] = mirror
	}
	return mirrors, nil
}

// Pairs returns the mirrors in the form that [ParseMirrors] reads, sorted.
func (m Mirrors) Pairs() []string {
	pairs := make([]string, 0, len(m))
	for origin, mirror := range m {
		pairs = append(pairs, origin+"="+mirror)
	}
	slices.Sort(pairs)
	return pairs
}

// Repository returns where the mirror of repo's registry holds repo, and
// whether there is a mirror at all. Plain HTTP for the mirror is the caller's
// decision.
func (m Mirrors) Repository(repo name.Repository) (name.Repository, bool) {
	mirror, found := m[repo.RegistryStr()]
	if !found {
		return name.Repository{}, false
	}
	mirrored, err := name.NewRepository(mirror + "/" + repo.RepositoryStr())
	return mirrored, err == nil
}

// ParseInsecure reads a list of registries that are spoken to by plain HTTP,
// the form of KILN_INSECURE_REGISTRIES, and returns them in canonical form,
// sorted and each once.
func ParseInsecure(hosts []string) ([]string, error) {
	canonical := make([]string, 0, len(hosts))
	for _, host := range hosts {
		registry, err := Canonical(host)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", envInsecure, err)
		}
		canonical = append(canonical, registry)
	}
	slices.Sort(canonical)
	return slices.Compact(canonical), nil
}
