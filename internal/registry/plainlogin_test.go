package registry_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"kiln/internal/registry"
)

func TestParsePlainLogins(t *testing.T) {
	logins, err := registry.ParsePlainLogins([]string{"Registry:5000", "proxy.example.com:80", "docker.io"})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"registry:5000": true, "REGISTRY:5000": true, "registry": false, "registry:5001": false, "registry:5000.example.com": false,
		"proxy.example.com": true, "proxy.example.com:80": true, "a.proxy.example.com": false, "index.docker.io": true, "": false,
	} {
		if got := logins.Allows(host); got != want {
			t.Errorf("Allows(%q) = %v", host, got)
		}
	}
	for _, bad := range []string{"http://registry:5000", "*", "registry/app", ""} {
		if _, err := registry.ParsePlainLogins([]string{bad}); err == nil || !strings.Contains(err.Error(), "KILN_PLAIN_LOGIN") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

// A registry without TLS hears no password, and the error names the setting: of
// a look-up, of a login, of a push.
func TestNoLoginWithoutTLS(t *testing.T) {
	h := newHub(t, "hunter2", nil)
	built := image(t, time.Unix(1, 0), nil)
	h.put(t, "app:1", built)
	c := newClient(t, registry.ClientConfig{
		Push: robot("hunter2", h.host), Pull: robot("hunter2", h.host), PlainLogin: registry.PlainLogins{"other.example.com"},
	}, h)
	for name, ask := range map[string]func(context.Context) error{
		"resolve": func(ctx context.Context) error { _, err := c.Resolve(ctx, h.host+"/app:1"); return err },
		"image":   func(ctx context.Context) error { _, err := c.Image(ctx, h.host+"/app:1"); return err },
		"login":   func(ctx context.Context) error { return c.Login(ctx, h.host+"/app:1") },
		"write":   func(ctx context.Context) error { return c.Write(ctx, h.host+"/app:2", built) },
	} {
		err := ask(t.Context())
		if kindOf(t, err) != registry.Denied || !strings.Contains(err.Error(), "KILN_PLAIN_LOGIN") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if h.got("Basic") || h.got("Bearer") {
		t.Error("the registry heard a login")
	}
}

// recorder hears requests that would go out.
type recorder struct{ heard int }

func (r *recorder) RoundTrip(*http.Request) (*http.Response, error) {
	r.heard++
	return nil, errors.New("no answer")
}

// Whatever holds a login stays here: a header, an address, the form of a token
// server.
func TestLoginGuard(t *testing.T) {
	requests := map[string]struct {
		change func(*http.Request)
		sent   bool
	}{
		"basic":   {func(r *http.Request) { r.SetBasicAuth("robot", "hunter2") }, false},
		"bearer":  {func(r *http.Request) { r.Header.Set("Authorization", "Bearer t") }, false},
		"address": {func(r *http.Request) { r.URL.User = url.UserPassword("robot", "hunter2") }, false},
		"form": {func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}, false},
		"none":     {func(*http.Request) {}, true},
		"with TLS": {func(r *http.Request) { r.SetBasicAuth("robot", "hunter2"); r.URL.Scheme = "https" }, true},
		"named":    {func(r *http.Request) { r.SetBasicAuth("robot", "hunter2"); r.URL.Host = "allowed:5000" }, true},
	}
	login := authn.FromConfig(authn.AuthConfig{Username: "robot", Password: "hunter2"})
	for name, tt := range requests {
		out := &recorder{}
		request := httptest.NewRequest(http.MethodPost, "http://registry:5000/v2/", http.NoBody)
		tt.change(request)
		response, err := registry.PlainLogins{"allowed:5000"}.For(login, out).RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
		_, settings := errors.AsType[*registry.SettingsError](err)
		if (out.heard == 1) != tt.sent || settings == tt.sent || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: sent %d, error %v", name, out.heard, err)
		}
	}
}

// The login of a proxy without TLS is not sent, for registries with TLS and
// without.
func TestNoLoginToPlainProxy(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, r.Method+" "+r.Header.Get("Proxy-Authorization"))
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	host := strings.TrimPrefix(proxy.URL, "http://")
	for _, scheme := range []string{"http", "socks5", "socks5h"} {
		for _, target := range []string{"http://registry.example.com/v2/", "https://registry.example.com/v2/"} {
			for _, allowed := range []bool{false, scheme == "http"} {
				logins := registry.PlainLogins{"other:1"}
				if allowed {
					logins = append(logins, host)
				}
				base := registry.NewTransport(registry.TransportConfig{Roots: x509.NewCertPool(), PlainLogin: logins})
				base.Proxy = logins.Proxy(http.ProxyURL(&url.URL{Scheme: scheme, User: url.UserPassword("robot", "hunter2"), Host: host}))
				mu.Lock()
				heard = nil
				mu.Unlock()
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				response, err := base.RoundTrip(request)
				if err == nil {
					_ = response.Body.Close()
				}
				_, settings := errors.AsType[*registry.SettingsError](err)
				mu.Lock()
				if settings == allowed || !allowed && len(heard) > 0 || allowed && len(heard) != 1 {
					t.Errorf("%s to %s, allowed %v: error %v, heard %q", scheme, target, allowed, err, heard)
				}
				mu.Unlock()
				base.CloseIdleConnections()
			}
		}
	}
}

func TestCheckProxies(t *testing.T) {
	logins := registry.PlainLogins{"allowed:3128"}
	for address, bad := range map[string]bool{
		"http://robot:hunter2@proxy:3128": true, "robot:hunter2@proxy:3128": true, "http://robot@proxy:3128": true, "socks5://robot:hunter2@proxy": true,
		"https://robot:hunter2@proxy:3128": false, "http://proxy:3128": false, "proxy:3128": false, "": false,
		"http://robot:hunter2@allowed:3128": false,
	} {
		err := logins.CheckProxies("", address)
		if (err != nil) != bad || err != nil && (strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "KILN_PLAIN_LOGIN")) {
			t.Errorf("%q: error %v", address, err)
		}
	}
}
