package gate

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"kiln/internal/registry"
)

// newTransport returns a transport that trusts the system's certificate
// authorities and those in the CA file. Where that cannot be read every request
// fails with the reason, which so reaches the build's author.
func newTransport(config Config, plain registry.PlainLogins) http.RoundTripper {
	roots, err := registry.Roots(config.CAFile)
	if err != nil {
		return failing{&registry.SettingsError{Err: fmt.Errorf("KILN_CA_CONFIGMAP: %w", err)}}
	}
	how := registry.TransportConfig{Roots: roots, PlainLogin: plain}
	if config.Names != nil {
		how.Dial = config.Names.DialContext
	}
	return registry.NewTransport(how)
}

// failing answers every request with an error.
type failing struct{ err error }

// RoundTrip implements http.RoundTripper.
func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	closeBody(r)
	return nil, f.err
}

// spentGuard refuses requests whose body was sent before.
type spentGuard struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g *spentGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if body, ok := r.Body.(*oneShot); ok && body.sent.Swap(true) {
		closeBody(r)
		return nil, errSpent
	}
	return g.base.RoundTrip(r)
}

// oneShot is a body that comes from the gate's client and cannot be sent twice.
// The carrier sends a request again after it has renewed a login; without this
// the registry would take what is left of the body for the whole.
type oneShot struct {
	io.ReadCloser
	sent atomic.Bool
}

// errSpent is the error of a request that would have to be sent again.
var errSpent = errors.New("the login ended while a piece of a layer was being sent")

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
