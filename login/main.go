// Command kiln-login exchanges a projected service account token for a login to
// a cloud's container registry: one JSON object on standard input, one on
// standard output, and what went wrong on standard error with exit code 1.
//
// kilnd starts it in its own container and in a build pod's gate, once for each
// login. It is a program of its own so that the clouds' libraries take no
// memory of a kilnd that waits for work. Tokens are read from the file that the
// request names and written to the pipe, never to arguments, environment or
// logs. It asks no metadata server, and reads no settings of the clouds'
// libraries from the environment or from files: only HTTP_PROXY, HTTPS_PROXY and
// NO_PROXY. Every request goes by HTTPS.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// timeout ends an exchange whose endpoints do not answer, the libraries' own
// retries included.
const timeout = 40 * time.Second

// maxRequest bounds standard input, in bytes.
const maxRequest = 64 << 10

// Request is what kilnd asks for: internal/cloudlogin.Identity has the same keys.
type Request struct {
	Cloud     string `json:"cloud"`     // aws, azure or gcp
	Registry  string `json:"registry"`  // its host
	TokenFile string `json:"tokenFile"` // the projected token
	CAFile    string `json:"caFile"`    // further authorities, or empty

	RoleARN        string `json:"roleArn"`        // of AWS
	TenantID       string `json:"tenantId"`       // of Azure
	ClientID       string `json:"clientId"`       // of Azure
	Provider       string `json:"provider"`       // of Google: projects/…/providers/…
	ServiceAccount string `json:"serviceAccount"` // of Google, or empty
}

// Login is the answer.
type Login struct {
	Username string    `json:"username"`
	Password string    `json:"password"`
	Expires  time.Time `json:"expires"`
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := run(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run answers the request on in.
func run(ctx context.Context, in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(io.LimitReader(in, maxRequest))
	decoder.DisallowUnknownFields()
	var request Request
	if err := decoder.Decode(&request); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	transport, err := newTransport(request.CAFile)
	if err != nil {
		return err
	}
	login, err := exchange(ctx, request, &http.Client{Transport: transport})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(login)
}

// newTransport returns what carries all requests.
func newTransport(caFile string) (http.RoundTripper, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificate authorities: %w", err)
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authorities: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the certificate authorities: %s has none in PEM form", caFile)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = proxy
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return onlyTLS{transport}, nil
}

// proxy returns the environment's proxy for a request. A proxy without TLS that
// wants a login gets none: other containers of the pod could read it on its way.
func proxy(request *http.Request) (*url.URL, error) {
	found, err := http.ProxyFromEnvironment(request)
	if err != nil || found == nil || found.User == nil || found.Scheme == "https" {
		return found, err
	}
	return nil, fmt.Errorf("the proxy %s has a login and no TLS: name it with https://, or list %s in NO_PROXY", found.Host, request.URL.Hostname())
}

// onlyTLS refuses requests that anybody on the way could read.
type onlyTLS struct{ base http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t onlyTLS) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" {
		return nil, fmt.Errorf("a token goes by https only, not to %s", request.URL.Redacted())
	}
	return t.base.RoundTrip(request)
}

// exchange asks the request's cloud.
func exchange(ctx context.Context, request Request, client *http.Client) (*Login, error) {
	token, err := readToken(request.TokenFile)
	if err != nil {
		return nil, err
	}
	clouds := map[string]func(context.Context, Request, *http.Client) (*Login, error){
		"aws": aws, "azure": azure, "gcp": gcp,
	}
	ask, known := clouds[request.Cloud]
	if !known {
		return nil, fmt.Errorf("the cloud %q is not known: write aws, azure or gcp", request.Cloud)
	}
	login, err := ask(ctx, request, client)
	if err != nil {
		return nil, fmt.Errorf("%w (the token says %s)", err, claims(token))
	}
	if login.Password == "" {
		return nil, errors.New("the cloud answered without a password")
	}
	return login, nil
}
