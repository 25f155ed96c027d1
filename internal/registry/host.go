package registry

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// hostPattern accepts host names and IPv4 addresses with an optional port.
// IPv6 literals are left out: their brackets fit in no repository name, and the
// gate has to write a registry as one element of a repository name.
var hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)

// Canonical returns the registry that host means, written as this package
// writes registries: "docker.io" becomes "index.docker.io", capitals become
// small letters. Host is a name or an IPv4 address with an optional port,
// without a scheme and without a path.
func Canonical(host string) (string, error) {
	lower := strings.ToLower(strings.TrimSpace(host))
	if !hostPattern.MatchString(lower) {
		return "", fmt.Errorf("registry host %q is not a host name with an optional port", host)
	}
	reg, err := name.NewRegistry(lower)
	if err != nil {
		return "", fmt.Errorf("registry host %q: %w", host, err)
	}
	return reg.RegistryStr(), nil
}

// Element writes a registry as one path element of a repository name that is
// not taken for a registry itself: image references take a first element with
// a dot or a colon for one (github.com/google/go-containerregistry/pkg/name).
// A dot becomes "__" and the colon of a port "_", which no host name holds:
// "registry.example.com:5000" becomes "registry__example__com_5000". The bare
// host "localhost" has no such form and is an error.
func Element(registry string) (string, error) {
	canonical, err := Canonical(registry)
	if err != nil {
		return "", err
	}
	if canonical == "localhost" {
		return "", fmt.Errorf("registry host %q is whatever runs the build, not a registry: write its name or its port", registry)
	}
	return strings.NewReplacer(".", "__", ":", "_").Replace(canonical), nil
}

// FromElement is the inverse of [Element].
func FromElement(element string) (string, error) {
	registry := strings.Replace(strings.ReplaceAll(element, "__", "."), "_", ":", 1)
	canonical, err := Canonical(registry)
	if err != nil || canonical != registry || strings.Contains(element, ".") {
		return "", fmt.Errorf("path element %q names no registry", element)
	}
	return registry, nil
}
