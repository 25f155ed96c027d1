package registry

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Names of the settings that Names is made of; errors quote them.
const (
	envHost      = "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST"
	envHostPush  = envHost + "_PUSH"
	envHostPull  = envHost + "_PULL"
	envImageName = "KILN_IMAGE_NAME"
)

const (
	// fallbackName is the image name of a workspace whose path leaves none.
	fallbackName = "kiln"
	// maxNameLength bounds what a workflow adds to a repository name.
	maxNameLength = 64
)

// componentPattern is one component of a repository name, as in
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests.
var componentPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)

// Names gives built images their names: <prefix>/<image name>:<tag>, once as
// kiln pushes them and once as nodes pull them. The zero value is not usable;
// see [NewNames]. A Names is immutable and safe for concurrent use.
type Names struct {
	push, pull, image string
}

// NewNames returns the names below the prefixes hostPush and hostPull, each a
// registry with an optional path, such as "ghcr.io/acme/kiln" or
// "kiln-registry:5000/ci". An empty hostPull means hostPush. A non-empty
// imageName puts every image into the one repository <prefix>/<imageName>.
//
// Errors name the setting that is wrong and show what to write.
func NewNames(hostPush, hostPull, imageName string) (Names, error) {
	if strings.TrimSpace(hostPush) == "" {
		return Names{}, fmt.Errorf("%s is not set: write the registry to push to, such as ghcr.io/acme/kiln", envHost)
	}
	if strings.TrimSpace(hostPull) == "" {
		hostPull = hostPush
	}
	push, err := prefix(hostPush)
	if err != nil {
		return Names{}, fmt.Errorf("%s (or %s): %w", envHostPush, envHost, err)
	}
	pull, err := prefix(hostPull)
	if err != nil {
		return Names{}, fmt.Errorf("%s (or %s): %w", envHostPull, envHost, err)
	}
	if imageName != "" && !isRepositoryPath(imageName) {
		return Names{}, fmt.Errorf("%s: %q is not a repository name: write small letters and digits, such as actions/built", envImageName, imageName)
	}
	return Names{push: push, pull: pull, image: imageName}, nil
}

// Image returns the references of one image with the given tag: push is where
// kiln writes it, pull is where nodes read it. Unless one repository was set
// for all, the last element of workspace, the runner's GITHUB_WORKSPACE, names
// the image: reduced to a repository component of at most 64 characters, or
// "kiln" if nothing is left.
func (n Names) Image(workspace, tag string) (push, pull string) {
	image := n.image
	if image == "" {
		image = component(path.Base(path.Clean("/" + workspace)))
	}
	return n.push + "/" + image + ":" + tag, n.pull + "/" + image + ":" + tag
}

// PushRegistry is the registry that images are pushed to.
func (n Names) PushRegistry() string {
	host, _, _ := strings.Cut(n.push, "/")
	return host
}

// RandomTag returns a tag that no other build has: "r-" and 26 small letters
// and digits with 128 bits of randomness.
func RandomTag() string {
	return "r-" + strings.ToLower(rand.Text())
}

// prefix checks one registry prefix and returns it without a trailing slash.
func prefix(value string) (string, error) {
	trimmed := strings.TrimSuffix(strings.TrimSpace(value), "/")
	if _, rest, found := strings.Cut(trimmed, "://"); found {
		return "", fmt.Errorf("%q has a scheme: write %q", value, rest)
	}
	host, repository, nested := strings.Cut(trimmed, "/")
	canonical, err := Canonical(host)
	if err != nil {
		return "", err
	}
	// Image references take a first element without dot and colon for a
	// repository on Docker Hub, which is never what was meant here.
	if !strings.ContainsAny(host, ".:") {
		return "", fmt.Errorf("%q names no registry: write the host with its domain or port, such as docker.io/%s or %s:5000", value, trimmed, host)
	}
	if !nested {
		return canonical, nil
	}
	if !isRepositoryPath(repository) {
		return "", fmt.Errorf("%q: %w", value, errRepositoryPath)
	}
	return canonical + "/" + repository, nil
}

var errRepositoryPath = errors.New("the path after the host must be small letters, digits and single separators, such as acme/kiln")

func isRepositoryPath(repository string) bool {
	for part := range strings.SplitSeq(repository, "/") {
		if !componentPattern.MatchString(part) {
			return false
		}
	}
	return len(repository) <= 255-maxNameLength
}

// component reduces any text to a valid repository component.
func component(text string) string {
	var b strings.Builder
	separators := ""
	for _, r := range strings.ToLower(text) {
		switch {
		case r == '.' || r == '_' || r == '-':
			separators += string(r)
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			if b.Len() > 0 {
				b.WriteString(separator(separators))
			}
			separators = ""
			b.WriteRune(r)
		}
	}
	cut := b.String()
	cut = strings.TrimRight(cut[:min(len(cut), maxNameLength)], "._-")
	if cut == "" {
		return fallbackName
	}
	return cut
}

// separator reduces a run of separators to one that repository names allow:
// dashes of any number, one or two underscores, or one dot.
func separator(run string) string {
	if run == "" || strings.Trim(run, "-") == "" || run == "__" {
		return run
	}
	return run[:1]
}
