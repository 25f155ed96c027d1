package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

const envPlainLogin = "KILN_PLAIN_LOGIN"

// PlainLogins are the hosts that a login may be sent to without TLS, in
// canonical form: registries, their token servers, and proxies. It is read only
// after [ParsePlainLogins]. None of them is the normal case: a RUN step shares
// its network with the gate, and the runner container with kilnd, so what goes
// by plain HTTP is theirs as well.
type PlainLogins []string

// ParsePlainLogins reads the list of KILN_PLAIN_LOGIN: names or IPv4 addresses,
// each with its port unless that is 80.
func ParsePlainLogins(hosts []string) (PlainLogins, error) {
	logins := make(PlainLogins, 0, len(hosts))
	for _, host := range hosts {
		canonical, err := Canonical(host)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", envPlainLogin, err)
		}
		logins = append(logins, canonicalPort(canonical))
	}
	slices.Sort(logins)
	return slices.Compact(logins), nil
}

func canonicalPort(host string) string { return strings.TrimSuffix(strings.ToLower(host), ":80") }

// Allows reports whether a login may go to host, a name with an optional port,
// without TLS.
func (p PlainLogins) Allows(host string) bool { return slices.Contains(p, canonicalPort(host)) }

// For returns what carries the requests of one login: base, and for all
// credentials but none at all a transport that sends none of them without TLS,
// to no host that p does not name. It refuses such a request with a
// [*SettingsError].
func (p PlainLogins) For(auth authn.Authenticator, base http.RoundTripper) http.RoundTripper {
	if auth == authn.Anonymous {
		return base // a token that anybody gets is no secret
	}
	return &loginGuard{base: base, allowed: p}
}

// loginGuard refuses requests that carry a login without TLS.
type loginGuard struct {
	base    http.RoundTripper
	allowed PlainLogins
}

// RoundTrip implements [http.RoundTripper].
func (g *loginGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" || !carriesLogin(r) || g.allowed.Allows(r.URL.Host) {
		return g.base.RoundTrip(r)
	}
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, &SettingsError{fmt.Errorf("%w: none is sent to %s by plain HTTP, where others could read it: an operator can give that host TLS, or name it in %s", errCredentials, r.URL.Host, envPlainLogin)}
}

// carriesLogin reports whether a request holds credentials: in a header, in its
// address, or in a form, as those for a token server are
// (https://distribution.github.io/distribution/spec/auth/oauth/).
func carriesLogin(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.URL.User != nil ||
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// Proxy returns choose, which says what proxy a request takes, with an error of
// type [*SettingsError] for one that a login would be sent to without TLS. The
// error holds no password.
func (p PlainLogins) Proxy(choose func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		proxy, err := choose(r)
		if err != nil || proxy == nil || !p.Exposes(proxy) {
			return proxy, err
		}
		return nil, &SettingsError{p.exposed(proxy)}
	}
}

// Exposes reports whether a proxy has a login in its address that p does not
// let go there without TLS.
func (p PlainLogins) Exposes(proxy *url.URL) bool {
	return proxy.User != nil && proxy.Scheme != "https" && !p.Allows(proxy.Host)
}

// exposed is the error of such a proxy.
func (p PlainLogins) exposed(proxy *url.URL) error {
	return fmt.Errorf("the login of the proxy %s would be sent without TLS, where others could read it: write its address with https://, or name it in %s", proxy.Host, envPlainLogin)
}

// CheckProxies reports the addresses of proxies, as HTTP_PROXY and HTTPS_PROXY
// hold them, whose login would be sent without TLS. What is no address is not
// its concern. The error holds no password.
func (p PlainLogins) CheckProxies(addresses ...string) error {
	for _, address := range addresses {
		if !strings.Contains(address, "://") {
			address = "http://" + address
		}
		if proxy, err := url.Parse(address); err == nil && p.Exposes(proxy) {
			return p.exposed(proxy)
		}
	}
	return nil
}
