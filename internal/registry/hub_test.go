package registry_test

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	handler "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"

	"kiln/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hub is a registry that wants a token for each request, which its own token
// server gives for the right password, or to anybody if there is none.
type hub struct {
	host, password string
	content        http.Handler

	mu    sync.Mutex
	asked []string // METHOD /path, token requests and pings left out
	seen  []string // Authorization fields
}

// newHub starts a registry. Wrap, if not nil, answers requests that have a
// token, usually with the registry's own handler.
func newHub(t *testing.T, password string, wrap func(content http.Handler) http.Handler) *hub {
	t.Helper()
	h := &hub{password: password, content: handler.New(handler.Logger(log.New(io.Discard, "", 0)))}
	inner := h.content
	if wrap != nil {
		inner = wrap(h.content)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, inner) }))
	t.Cleanup(server.Close)
	h.host = strings.TrimPrefix(server.URL, "http://")
	return h
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request, inner http.Handler) {
	h.mu.Lock()
	h.seen = append(h.seen, r.Header.Get("Authorization"))
	if r.URL.Path != "/token" && r.URL.Path != "/v2/" {
		h.asked = append(h.asked, r.Method+" "+r.URL.Path)
	}
	password := h.password
	h.mu.Unlock()
	_, given, _ := r.BasicAuth()
	switch {
	case r.URL.Path == "/token" && given == password:
		_ = json.NewEncoder(w).Encode(map[string]string{"token": "token-for-" + r.URL.Query().Get("scope")})
	case r.URL.Path == "/token":
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
	case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer token-for-repository:"):
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+h.host+`/token",service="hub"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		inner.ServeHTTP(w, r)
	}
}

// requests returns the requests so far, and forgets them.
func (h *hub) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.asked
	h.asked = nil
	return asked
}

// got reports whether a request carried text in its credentials.
func (h *hub) got(text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Contains(strings.Join(h.seen, "\n"), text)
}

// put writes what remote can push under a reference without asking for a token.
func (h *hub) put(t *testing.T, repository string, artifact remote.Taggable) string {
	t.Helper()
	server := httptest.NewServer(h.content)
	defer server.Close()
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Push(ref, artifact, remote.WithTransport(base)); err != nil {
		t.Fatal(err)
	}
	raw, err := artifact.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	return registry.DigestOf(raw)
}

// image returns an image that says when it was built, with labels and triggers.
func image(t *testing.T, created time.Time, labels map[string]string, triggers ...string) v1.Image {
	t.Helper()
	built, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Created: v1.Time{Time: created},
		Config: v1.Config{Labels: labels, OnBuild: triggers},
	})
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// robot is a keychain with one password for the hosts.
func robot(password string, hosts ...string) authn.Keychain { return keychain{password, hosts} }

type keychain struct {
	password string
	hosts    []string
}

func (k keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	for _, host := range k.hosts {
		if host == target.RegistryStr() {
			return authn.FromConfig(authn.AuthConfig{Username: "robot", Password: k.password}), nil
		}
	}
	return authn.Anonymous, nil
}

// newClient returns a client that may speak plain HTTP to the hubs, and whose
// attempts are short. Unless config says otherwise the hubs get its logins, too.
func newClient(t *testing.T, config registry.ClientConfig, hubs ...*hub) *registry.Client {
	t.Helper()
	named := config.PlainLogin != nil
	for _, h := range hubs {
		config.Insecure = append(config.Insecure, h.host)
		if !named {
			config.PlainLogin = append(config.PlainLogin, h.host)
		}
	}
	if config.Transport == nil {
		base := registry.NewTransport(registry.TransportConfig{})
		t.Cleanup(base.CloseIdleConnections)
		config.Transport = base
	}
	return registry.Hasten(registry.NewClient(config), 5*time.Second, time.Millisecond, time.Millisecond)
}
