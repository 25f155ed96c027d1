package gate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"kiln/internal/registry"
)

// Bounds on what HTTP/2 buffers of downloads that the client is slow to take,
// in bytes. Without them it is 4 MiB a download.
const (
	maxStreamBuffer     = 1 << 20
	maxConnectionBuffer = 3 << 20
)

// newTransport returns a transport whose memory is bounded. It trusts the
// system's certificate authorities and those in caFile. Where that cannot be
// read every request fails with the reason, which so reaches the build's
// author.
func newTransport(caFile string) http.RoundTripper {
	roots, err := registry.Roots(caFile)
	if err != nil {
		return failing{&settingsError{fmt.Errorf("KILN_CA_CONFIGMAP: %w", err)}}
	}
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  5 * time.Minute,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        15 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		Protocols:              &protocols,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     maxStreamBuffer,
			MaxReceiveBufferPerConnection: maxConnectionBuffer,
			SendPingTimeout:               30 * time.Second,
			PingTimeout:                   15 * time.Second,
		},
	}
}

// failing answers every request with an error.
type failing struct{ err error }

// RoundTrip implements http.RoundTripper.
func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	closeBody(r)
	return nil, f.err
}

// plainGuard refuses plain HTTP to hosts that the operator did not name. The
// library under it would fall back to plain HTTP for private addresses, which
// lets whoever answers there read the credentials.
type plainGuard struct {
	base    http.RoundTripper
	allowed []string
}

// RoundTrip implements http.RoundTripper.
func (g *plainGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if body, ok := r.Body.(*oneShot); ok && body.sent.Swap(true) {
		closeBody(r)
		return nil, errSpent
	}
	if r.URL.Scheme == "https" || slices.Contains(g.allowed, strings.ToLower(r.URL.Host)) {
		return g.base.RoundTrip(r)
	}
	closeBody(r)
	return nil, &settingsError{fmt.Errorf("plain HTTP to %s is not allowed: KILN_INSECURE_REGISTRIES does not name it", r.URL.Host)}
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
