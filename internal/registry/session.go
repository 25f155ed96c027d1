package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	// sessionAge is how long a login is used. Tokens that say nothing about
	// their age are good for 60 seconds
	// (https://distribution.github.io/distribution/spec/auth/token/).
	sessionAge = 45 * time.Second
	// maxSessions bounds how many logins are held.
	maxSessions = 256
)

// errCredentials marks credentials that cannot be had, as opposed to refused.
var errCredentials = errors.New("the credentials cannot be used")

// sessions are logins to registries. They are safe for concurrent use.
type sessions struct {
	base   http.RoundTripper
	plain  PlainLogins
	logins *memo[http.RoundTripper]
}

func newSessions(base http.RoundTripper, plain PlainLogins, now func() time.Time) *sessions {
	return &sessions{base: base, plain: plain, logins: newMemo[http.RoundTripper](sessionAge, maxSessions, now)}
}

// pull returns what carries requests that read repo, with keychain's
// credentials as they are now. They are sent to repo's registry and its token
// server only.
func (s *sessions) pull(ctx context.Context, keychain authn.Keychain, repo name.Repository) (http.RoundTripper, error) {
	return s.login(ctx, keychain, repo, repo.Scope(transport.PullScope))
}

// push returns what carries requests that write to repo, and mount from it what the
// further scopes let it read.
func (s *sessions) push(ctx context.Context, keychain authn.Keychain, repo name.Repository, further ...string) (http.RoundTripper, error) {
	return s.login(ctx, keychain, repo, append([]string{repo.Scope(transport.PushScope)}, further...)...)
}

// login logs in to repo's registry for scopes.
func (s *sessions) login(ctx context.Context, keychain authn.Keychain, repo name.Repository, scopes ...string) (http.RoundTripper, error) {
	auth, err := authn.Resolve(ctx, keychain, repo)
	if err != nil {
		return nil, &SettingsError{fmt.Errorf("%w: %w", errCredentials, err)}
	}
	config, err := authn.Authorization(ctx, auth)
	if err != nil {
		return nil, &SettingsError{fmt.Errorf("%w: %w", errCredentials, err)}
	}
	key := repo.RegistryStr() + " " + strings.Join(scopes, " ") + " " + fingerprint(config)
	return s.logins.get(ctx, key, func(ctx context.Context) (http.RoundTripper, error) {
		return transport.NewWithContext(ctx, repo.Registry, auth, s.plain.For(auth, s.base), scopes)
	})
}

// fingerprint tells credentials apart without being of use as such.
func fingerprint(config *authn.AuthConfig) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{config.Username, config.Password, config.Auth, config.IdentityToken, config.RegistryToken}))
	return hex.EncodeToString(sum[:])
}

// withScheme marks the repositories of registries that may be spoken to by
// plain HTTP, those in insecure.
func withScheme(repo name.Repository, insecure []string) name.Repository {
	if !slices.Contains(insecure, repo.RegistryStr()) {
		return repo
	}
	if reg, err := name.NewRegistry(repo.RegistryStr(), name.Insecure); err == nil {
		repo.Registry = reg
	}
	return repo
}
