package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	defaultRemember = 5 * time.Minute
	// maxDigests and maxBases bound how many answers are remembered.
	maxDigests = 1000
	maxBases   = 200
	// attemptTime is what one attempt may take, logging in included.
	attemptTime = 15 * time.Second
	// lookupTime is what all attempts at a registry may take together. Those
	// that it answers, be it with 429 or 503, are through in much less. One that
	// is silent for an attempt is not worth three of them: somebody waits.
	lookupTime = 20 * time.Second
	// maxRequests bounds how many look-ups ask at the same time: an answer may have
	// maxDocument bytes, and a Dockerfile names as many images as it likes.
	maxRequests = 8
	// maxStreams bounds how many blobs are sent at the same time, as Docker does.
	maxStreams = 3
	// maxErrorText bounds what of a registry's answer gets into an error.
	maxErrorText = 300
)

// ClientConfig says how registries are asked. The zero value asks anonymously.
type ClientConfig struct {
	// Push has the credentials for the repositories that kiln pushes to.
	Push authn.Keychain
	// Pull has those for base images.
	Pull authn.Keychain
	// Mirrors are asked first for the registries they stand for.
	Mirrors Mirrors
	// Insecure are the registries that may be spoken to by plain HTTP, as
	// ParseInsecure returns them.
	Insecure []string
	// PlainLogin are the hosts that a login may be sent to without TLS.
	PlainLogin PlainLogins
	// Transport carries all requests; nil means NewTransport with Roots and
	// PlainLogin.
	Transport http.RoundTripper
	// Roots are the trusted certificate authorities; nil means the system's.
	Roots *x509.CertPool
	// Remember is how long the digest of a tag is taken to stay the same; zero
	// means 5 minutes.
	Remember time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Client looks images up. It holds a bounded number of bounded answers in
// memory, and credentials no longer than a login lasts: the keychains are asked
// at each look-up. It is safe for concurrent use.
type Client struct {
	push, pull authn.Keychain
	mirrors    Mirrors
	insecure   []string
	sessions   *sessions
	digests    *memo[string]
	bases      *memo[Base]
	requests   chan struct{} // one element for each attempt under way
	streams    chan struct{} // one for each blob that is sent
	attempt    time.Duration
	lookup     time.Duration
	pauses     []time.Duration
}

// NewClient returns a client. It makes no request.
func NewClient(config ClientConfig) *Client {
	base := config.Transport
	if base == nil {
		base = NewTransport(TransportConfig{Roots: config.Roots, PlainLogin: config.PlainLogin})
	}
	now := config.Now
	if now == nil {
		now = time.Now
	}
	remember := config.Remember
	if remember <= 0 {
		remember = defaultRemember
	}
	return &Client{
		push:     orAnonymous(config.Push),
		pull:     orAnonymous(config.Pull),
		mirrors:  config.Mirrors,
		insecure: config.Insecure,
		sessions: newSessions(transport.NewUserAgent(Guard(base, config.Insecure), "kilnd"), config.PlainLogin, now),
		digests:  newMemo[string](remember, maxDigests, now),
		// What a digest stands for never changes.
		bases:    newMemo[Base](24*time.Hour, maxBases, now),
		requests: make(chan struct{}, maxRequests),
		streams:  make(chan struct{}, maxStreams),

		attempt: attemptTime,
		lookup:  lookupTime,
		pauses:  []time.Duration{300 * time.Millisecond, time.Second},
	}
}

func orAnonymous(keychain authn.Keychain) authn.Keychain {
	if keychain == nil {
		return authn.NewMultiKeychain()
	}
	return keychain
}

// Kind is why a look-up failed.
type Kind string

// The kinds of failures.
const (
	// NotFound: the registry does not know the image.
	NotFound Kind = "not found"
	// Denied: the registry refuses the credentials, or asks for some. Many
	// registries answer so for private images and for images that do not exist.
	Denied Kind = "denied"
	// Unreachable: there is no answer, or one that may be another in a while
	// (429 and 5xx). Plain HTTP that the operator does not allow counts too.
	Unreachable Kind = "unreachable"
	// OtherPlatform: there is an image, and none for the platform.
	OtherPlatform Kind = "other platform"
	// Unfit: the image is there, and nothing that kiln pushes can be built on it.
	Unfit Kind = "unfit"
	// Malformed: the reference or the answer is not what it should be.
	Malformed Kind = "malformed"
)

// LookupError is the error of all of a Client's look-ups.
type LookupError struct {
	// Reference is the image as the caller named it.
	Reference string
	Kind      Kind
	Err       error
}

// Error is one line of bounded length, whatever the registry answered.
func (e *LookupError) Error() string {
	return fmt.Sprintf("look up image %s: %s: %s", oneLine(e.Reference), e.Kind, oneLine(e.Err.Error()))
}

// Unwrap returns the cause.
func (e *LookupError) Unwrap() error { return e.Err }

// oneLine makes text of a foreign hand fit for a log.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + " …"
	}
	return text
}

// errMalformed marks answers that are not what they should be.
var errMalformed = errors.New("the registry's answer is of no use")

// kindOf sorts an error of a request into its kind.
func kindOf(err error) Kind {
	if answered, ok := errors.AsType[*transport.Error](err); ok {
		return kindOfStatus(answered.StatusCode)
	}
	switch {
	case keptByRegistry(err):
		return Denied
	case errors.Is(err, errPlatform):
		return OtherPlatform
	case errors.Is(err, errUnfit):
		return Unfit
	case errors.Is(err, errMalformed):
		return Malformed
	case errors.Is(err, errCredentials):
		return Denied
	}
	return Unreachable
}

// KindOf sorts an error of any call of a [Client] into its kind. What no registry answered
// is [Unreachable].
func KindOf(err error) Kind {
	if failed, ok := errors.AsType[*LookupError](err); ok {
		return failed.Kind
	}
	return kindOf(err)
}

// keptByRegistry reports whether a registry keeps what a tag has.
func keptByRegistry(err error) bool {
	_, kept := errors.AsType[*KeptError](err)
	return kept
}

func kindOfStatus(status int) Kind {
	switch {
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Denied
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= http.StatusInternalServerError:
		return Unreachable
	}
	return Malformed
}

// fetch reads repo by one of its sources, mirrors first. A mirror is asked
// once; the registry itself again after a while when it cannot be reached.
func fetch[V any](ctx context.Context, c *Client, repo name.Repository, read func(context.Context, name.Repository) (V, error)) (V, error) {
	mirror, mirrored := c.mirrors.Repository(repo)
	if !mirrored {
		return insist(ctx, c, repo, read)
	}
	value, missed := attempt(ctx, c, mirror, read)
	if missed == nil {
		return value, nil
	}
	value, err := insist(ctx, c, repo, read)
	if err != nil {
		err = fmt.Errorf("%w (and its mirror %s: %s)", err, mirror.RegistryStr(), oneLine(missed.Error()))
	}
	return value, err
}

// insist reads repo at its own registry, more than once if it must, within the
// time that a look-up has.
func insist[V any](ctx context.Context, c *Client, repo name.Repository, read func(context.Context, name.Repository) (V, error)) (V, error) {
	ctx, cancel := context.WithTimeout(ctx, c.lookup)
	defer cancel()
	for _, pause := range c.pauses {
		value, err := attempt(ctx, c, repo, read)
		if err == nil || kindOf(err) != Unreachable || Untrusted(err) {
			return value, err
		}
		if wait(ctx, pause) != nil {
			return value, err
		}
	}
	return attempt(ctx, c, repo, read)
}

// wait waits for a pause, or until ctx ends.
func wait(ctx context.Context, pause time.Duration) error {
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempt reads repo once, within the time that an attempt has, once it is its
// turn.
func attempt[V any](ctx context.Context, c *Client, repo name.Repository, read func(context.Context, name.Repository) (V, error)) (V, error) {
	select {
	case c.requests <- struct{}{}:
		defer func() { <-c.requests }()
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, c.attempt)
	defer cancel()
	value, err := read(ctx, withScheme(repo, c.insecure))
	if Untrusted(err) {
		err = fmt.Errorf("%w; an operator can name its certificate authority with KILN_CA_FILE", err)
	}
	return value, err
}

// Untrusted reports whether the registry's certificate is the reason of an error,
// which asking again does not change.
func Untrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}
