package registry

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

const envAllow = "KILN_PULL_ALLOW"

// below, as the last element of a pattern, stands for one or more elements.
const below = "**"

var allowElement = regexp.MustCompile(`^[a-z0-9._*-]+$`)

// Allow says for which repositories the credentials for pulling may be used.
// Without a pattern they may be used for all. It is read only after
// [ParseAllow].
type Allow []allowPattern

// allowPattern is a registry and the elements of a repository; none mean all
// repositories of the registry.
type allowPattern struct {
	registry string
	elements []string
}

// ParseAllow reads the patterns of KILN_PULL_ALLOW. A pattern is a registry,
// "ghcr.io", or a registry and a repository, "ghcr.io/acme/tool". A "*" stands
// for any characters within one element of the path, or within one label of the
// registry's name; "**" as the last element stands for one element or more:
// "ghcr.io/acme/**" are all repositories below acme.
func ParseAllow(patterns []string) (Allow, error) {
	allow := make(Allow, 0, len(patterns))
	for _, pattern := range patterns {
		host, repository, scoped := strings.Cut(strings.TrimSpace(pattern), "/")
		parsed, err := parseAllowHost(host)
		if err != nil {
			return nil, fmt.Errorf("%s: pattern %q: %w", envAllow, pattern, err)
		}
		if scoped {
			parsed.elements = strings.Split(repository, "/")
		}
		for i, element := range parsed.elements {
			last := i == len(parsed.elements)-1
			if !allowElement.MatchString(element) || strings.Contains(element, below) && !(last && element == below) {
				return nil, fmt.Errorf("%s: pattern %q: write a registry and a repository, with * for one element and ** for all that is below: ghcr.io/acme/**", envAllow, pattern)
			}
		}
		if parsed.registry == name.DefaultRegistry && len(parsed.elements) == 1 && parsed.elements[0] != below {
			parsed.elements = []string{"library", parsed.elements[0]}
		}
		allow = append(allow, parsed)
	}
	return allow, nil
}

func parseAllowHost(host string) (allowPattern, error) {
	if strings.Trim(host, "*") == "" {
		return allowPattern{}, errors.New("it names no registry; leave the setting empty to allow all")
	}
	canonical, err := Canonical(strings.ReplaceAll(host, "*", "x"))
	if err != nil {
		return allowPattern{}, err
	}
	if strings.Contains(host, "*") {
		canonical = strings.ToLower(host)
	}
	return allowPattern{registry: canonical}, nil
}

// Allows reports whether the credentials for pulling may be used for repo.
func (a Allow) Allows(repo name.Repository) bool {
	elements := strings.Split(repo.RepositoryStr(), "/")
	return len(a) == 0 || slices.ContainsFunc(a, func(p allowPattern) bool {
		return (p.registry == repo.RegistryStr() || matchGlob(p.registry, repo.RegistryStr())) && p.matches(elements)
	})
}

func (p allowPattern) matches(elements []string) bool {
	patterns := p.elements
	if len(patterns) == 0 {
		return true
	}
	if last := len(patterns) - 1; patterns[last] == below {
		if len(elements) <= last {
			return false
		}
		patterns, elements = patterns[:last], elements[:last]
	}
	return slices.EqualFunc(patterns, elements, func(pattern, element string) bool {
		matched, err := path.Match(pattern, element)
		return err == nil && matched
	})
}

// Restrict returns keychain for the repositories that allow lists; all others
// are used anonymously.
func Restrict(keychain authn.Keychain, allow Allow) authn.Keychain {
	if len(allow) == 0 {
		return keychain
	}
	return restricted{keychain, allow}
}

type restricted struct {
	keychain authn.Keychain
	allow    Allow
}

// Resolve implements [authn.Keychain].
func (r restricted) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return r.ResolveContext(context.Background(), target)
}

// ResolveContext implements [authn.ContextKeychain].
func (r restricted) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	repo, err := name.NewRepository(target.String())
	if err != nil || !r.allow.Allows(repo) {
		return authn.Anonymous, nil //nolint:nilerr // what is no repository matches no pattern
	}
	return authn.Resolve(ctx, r.keychain, target)
}
