package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// ErrAnonymous says that a registry asks for credentials and that there are none
// for it.
var ErrAnonymous = errors.New("the registry asks for credentials, and there are none for it")

// Reach asks the registry of reference whether it is one, without logging in,
// and returns what its clock says (zero where it does not) and half the time
// that the answer took.
//
// Errors are of type [*LookupError]: [Unreachable] where nobody answers,
// [Malformed] where what answers is no registry.
func (c *Client) Reach(ctx context.Context, reference string) (date time.Time, trip time.Duration, err error) {
	ref, err := c.trial(reference)
	if err != nil {
		return time.Time{}, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.attempt)
	defer cancel()
	began := time.Now()
	response, err := c.version(ctx, c.sessions.base, ref)
	if err != nil {
		return time.Time{}, 0, &LookupError{Reference: reference, Kind: Unreachable, Err: err}
	}
	defer response.Body.Close()
	trip = time.Since(began) / 2
	date, err = http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		date = time.Time{}
	}
	err = transport.CheckError(response, http.StatusOK, http.StatusUnauthorized, http.StatusForbidden)
	if err != nil {
		return date, trip, &LookupError{Reference: reference, Kind: kindOf(err), Err: err}
	}
	return date, trip, nil
}

// version asks for the version of the registry API
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints, end-1).
func (c *Client) version(ctx context.Context, carrier http.RoundTripper, ref name.Reference) (*http.Response, error) {
	repo := ref.Context()
	address := url.URL{Scheme: repo.Scheme(), Host: repo.RegistryStr(), Path: "/v2/"}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	return Follow(carrier, request)
}

// trial parses the reference of an image for a trial.
func (c *Client) trial(reference string) (name.Reference, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, &LookupError{Reference: reference, Kind: Malformed, Err: err}
	}
	switch r := ref.(type) {
	case name.Tag:
		r.Repository = withScheme(r.Repository, c.insecure)
		return r, nil
	case name.Digest:
		r.Repository = withScheme(r.Repository, c.insecure)
		return r, nil
	}
	return ref, nil
}

// Login logs in for pushing reference, with the credentials for pushing.
//
// Errors are of type [*LookupError]; they wrap [ErrAnonymous] where there are no
// credentials and the registry wants some.
func (c *Client) Login(ctx context.Context, reference string) error {
	ref, err := c.trial(reference)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.attempt)
	defer cancel()
	auth, err := authn.Resolve(ctx, c.push, ref.Context())
	if err != nil {
		return &LookupError{Reference: reference, Kind: Denied, Err: fmt.Errorf("%w: %w", errCredentials, err)}
	}
	if err := c.login(ctx, ref, auth); err != nil {
		kind := kindOf(err)
		if kind == Denied && auth == authn.Anonymous {
			err = fmt.Errorf("%w: %w", ErrAnonymous, err)
		}
		return &LookupError{Reference: reference, Kind: kind, Err: err}
	}
	return nil
}

func (c *Client) login(ctx context.Context, ref name.Reference, auth authn.Authenticator) error {
	carrier, err := transport.NewWithContext(ctx, ref.Context().Registry, auth, c.sessions.plain.For(auth, c.sessions.base), []string{ref.Context().Scope(transport.PushScope)})
	if err != nil {
		return err
	}
	response, err := c.version(ctx, carrier, ref)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return transport.CheckError(response, http.StatusOK)
}

// Write pushes an image under reference, with the credentials for pushing.
// Nothing is tried again. Errors are of type [*LookupError].
func (c *Client) Write(ctx context.Context, reference string, image v1.Image) error {
	return c.change(ctx, reference, func(ref name.Reference, options []remote.Option) error {
		return remote.Write(ref, image, options...)
	})
}

// Delete removes the manifest that reference, a digest, names. Many registries
// do not allow it. Errors are of type [*LookupError].
func (c *Client) Delete(ctx context.Context, reference string) error {
	return c.change(ctx, reference, func(ref name.Reference, options []remote.Option) error {
		return remote.Delete(ref, options...)
	})
}

func (c *Client) change(ctx context.Context, reference string, send func(name.Reference, []remote.Option) error) error {
	ref, err := c.trial(reference)
	if err != nil {
		return err
	}
	auth, err := authn.Resolve(ctx, c.push, ref.Context())
	if err != nil {
		return &LookupError{Reference: reference, Kind: Denied, Err: fmt.Errorf("%w: %w", errCredentials, err)}
	}
	err = send(ref, []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuth(auth),
		remote.WithTransport(c.sessions.plain.For(auth, c.sessions.base)),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryStatusCodes(),
	})
	if err != nil {
		return &LookupError{Reference: reference, Kind: kindOf(err), Err: err}
	}
	return nil
}

// Unnamed reports whether an error is that nobody has the registry's name, as
// opposed to a registry that does not answer.
func Unnamed(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// Plain reports whether an error is that a registry speaks plain HTTP where TLS
// was spoken to it.
func Plain(err error) bool {
	// net/http has no type for it.
	return err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
