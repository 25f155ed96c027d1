package gate

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"kiln/internal/registry"
)

const (
	// sessionAge is how long a login is used. Tokens that say nothing about
	// their age are good for 60 seconds
	// (https://distribution.github.io/distribution/spec/auth/token/), and the
	// transport cannot log in again in the middle of an upload.
	sessionAge = 45 * time.Second
	// relayBuffer is what each download holds, in bytes.
	relayBuffer = 128 << 10
)

// upstream speaks to registries with the gate's credentials. It is safe for
// concurrent use.
type upstream struct {
	// idle holds the connections, base sends requests over them.
	idle     http.RoundTripper
	base     http.RoundTripper
	plain    registry.PlainLogins
	retries  backoff
	mu       sync.Mutex
	sessions map[string]*session
}

// session is a login to one registry for a set of scopes. Its number is bounded
// by the policy: scopes are made of repositories that the policy lists.
type session struct {
	mu          sync.Mutex
	carrier     http.RoundTripper
	credentials authn.AuthConfig
	since       time.Time
}

func newUpstream(base http.RoundTripper, p *policy, retries backoff) *upstream {
	return &upstream{
		idle:     base,
		base:     transport.NewUserAgent(&spentGuard{base: registry.Guard(base, p.insecure)}, "kiln-gate"),
		plain:    p.plain,
		retries:  retries,
		sessions: map[string]*session{},
	}
}

// close ends connections that are not in use.
func (u *upstream) close() {
	client := http.Client{Transport: u.idle}
	client.CloseIdleConnections()
}

// account is whose credentials a request carries.
type account struct {
	name     string
	keychain authn.Keychain
}

// login returns what carries requests to repo's registry with an account's
// credentials, as they are now, for the given scopes. They are sent to that
// registry's host and its token server only.
func (u *upstream) login(ctx context.Context, as account, repo name.Repository, scopes ...string) (http.RoundTripper, error) {
	auth, err := authn.Resolve(ctx, as.keychain, repo)
	if err != nil {
		return nil, &registry.SettingsError{Err: err}
	}
	credentials, err := authn.Authorization(ctx, auth)
	if err != nil {
		return nil, &registry.SettingsError{Err: err}
	}
	s := u.session(as.name + " " + repo.RegistryStr() + " " + strings.Join(scopes, " "))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.carrier != nil && s.credentials == *credentials && time.Since(s.since) < sessionAge {
		return s.carrier, nil
	}
	carrier, err := transport.NewWithContext(ctx, repo.Registry, auth, u.plain.For(auth, u.base), scopes)
	if err != nil {
		return nil, err
	}
	s.carrier, s.credentials, s.since = carrier, *credentials, time.Now()
	return carrier, nil
}

func (u *upstream) session(key string) *session {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, found := u.sessions[key]
	if !found {
		s = &session{}
		u.sessions[key] = s
	}
	return s
}

// readRequest is a GET or HEAD for a path of a repository's registry.
type readRequest struct {
	as     account
	repo   name.Repository
	path   string
	scope  string
	method string
	// header are the client's fields, of which a download needs some.
	header http.Header
}

// read sends a request and follows redirects.
func (u *upstream) read(ctx context.Context, what readRequest) (*http.Response, error) {
	carrier, err := u.login(ctx, what.as, what.repo, what.repo.Scope(what.scope))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, what.method, address(what.repo, what.path), http.NoBody)
	if err != nil {
		return nil, err
	}
	copyHeader(request.Header, what.header, "Accept", "Range")
	return registry.Follow(carrier, request)
}

// write sends a request that changes repo; extra are scopes besides the one for
// pushing. Redirects are not followed: the client's body cannot be sent twice.
func (u *upstream) write(request *http.Request, as account, repo name.Repository, extra ...string) (*http.Response, error) {
	scopes := append([]string{repo.Scope(transport.PushScope)}, extra...)
	carrier, err := u.login(request.Context(), as, repo, scopes...)
	if err != nil {
		return nil, err
	}
	return carrier.RoundTrip(request)
}

// address returns the URL of a path of repo's registry. The scheme is settled
// by the carrier, which found out what the registry speaks.
func address(repo name.Repository, path string) string {
	return repo.Scheme() + "://" + repo.RegistryStr() + path
}

// copyHeader copies the named fields.
func copyHeader(to, from http.Header, fields ...string) {
	for _, field := range fields {
		if values := from.Values(field); len(values) > 0 {
			to[http.CanonicalHeaderKey(field)] = slices.Clone(values)
		}
	}
}

// relay passes a registry's answer on: status, the fields that a registry
// client reads, and the body, without holding more than a piece of it. Fields
// such as cookies, challenges and addresses stay here.
func relay(w http.ResponseWriter, response *http.Response) {
	defer response.Body.Close()
	copyHeader(w.Header(), response.Header, "Content-Type", "Content-Length", "Content-Range", "Content-Encoding",
		"Docker-Content-Digest", "Docker-Distribution-Api-Version", "Docker-Upload-Uuid", "Etag", "Range", "Retry-After")
	w.WriteHeader(response.StatusCode)
	// TLS gives 16 KiB at a time; fewer, larger pieces reach the client faster.
	buffer := bufio.NewWriterSize(w, relayBuffer)
	_, err := io.Copy(buffer, response.Body)
	if err == nil {
		err = buffer.Flush()
	}
	if err != nil {
		// A client must not take half a blob for a whole one.
		panic(http.ErrAbortHandler)
	}
}

// discard ends the use of an answer that is not passed on, reading a little so
// that the connection can be used again.
func discard(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	_ = response.Body.Close()
}
