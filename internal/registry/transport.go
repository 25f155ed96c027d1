package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// SettingsError marks what only the operator can change: credentials that
// cannot be read, a registry that must not be spoken to by plain HTTP.
type SettingsError struct{ Err error }

// Error implements error.
func (e *SettingsError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *SettingsError) Unwrap() error { return e.Err }

// Bounds on what HTTP/2 buffers of downloads whose reader is slow, in bytes.
// Without them it is 4 MiB a download.
const (
	maxStreamBuffer     = 1 << 20
	maxConnectionBuffer = 3 << 20
)

// TransportConfig says how registries are reached.
type TransportConfig struct {
	// Roots are the certificate authorities that are trusted; nil means those of
	// the system, where SSL_CERT_FILE and SSL_CERT_DIR count
	// (https://pkg.go.dev/crypto/x509#SystemCertPool).
	Roots *x509.CertPool
	// PlainLogin are the proxies that a login may be sent to without TLS.
	PlainLogin PlainLogins
	// Dial connects with a host; nil goes by the files of the system.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewTransport returns a transport for requests to registries, with time limits
// on connecting and bounded memory. Proxies come from the environment. The
// transport sends no login: see [PlainLogins.For].
func NewTransport(config TransportConfig) *http.Transport {
	dial := config.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		Proxy:                  config.PlainLogin.Proxy(http.ProxyFromEnvironment),
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: config.Roots, MinVersion: tls.VersionTLS12},
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

// plainGuard refuses plain HTTP to hosts that the operator did not name.
type plainGuard struct {
	base    http.RoundTripper
	allowed []string
}

// Guard returns a transport that refuses plain HTTP, with a [*SettingsError],
// to all hosts but insecure, which are in canonical form. The library under it
// would fall back to plain HTTP for private addresses, which lets whoever
// answers there read the credentials.
func Guard(base http.RoundTripper, insecure []string) http.RoundTripper {
	return &plainGuard{base: base, allowed: insecure}
}

// RoundTrip implements [http.RoundTripper].
func (g *plainGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" || slices.Contains(g.allowed, strings.ToLower(r.URL.Host)) {
		return g.base.RoundTrip(r)
	}
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, &SettingsError{fmt.Errorf("plain HTTP to %s is not allowed: %s does not name it", r.URL.Host, envInsecure)}
}

// maxRedirects is how often a download may be sent elsewhere.
const maxRedirects = 5

// Follow sends a GET or HEAD through carrier, which holds a login to one
// registry, and follows redirects: registries keep blobs elsewhere. The carrier
// adds credentials for the registry's own host only, and they are dropped from
// redirected requests. Errors leave out the address of a redirect: its
// signature reads the blob.
func Follow(carrier http.RoundTripper, request *http.Request) (*http.Response, error) {
	client := http.Client{Transport: carrier, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("the registry redirects too often")
		}
		return nil
	}}
	response, err := client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return nil, failed.Err
	}
	return response, err
}
