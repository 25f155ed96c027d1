package gate_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"kiln/internal/gate"
)

// listener is a plain HTTP server that a RUN step could be: it keeps what it
// hears of logins.
type listener struct {
	url, host string
	mu        sync.Mutex
	heard     []string
}

// newListener answers with answer.
func newListener(t *testing.T, answer http.HandlerFunc) *listener {
	t.Helper()
	l := &listener{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.heard = append(l.heard, r.Header.Get("Authorization")+r.Header.Get("Proxy-Authorization"))
		l.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	l.url, l.host = server.URL, strings.TrimPrefix(server.URL, "http://")
	return l
}

// logins are the headers with a login that were heard.
func (l *listener) logins() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var logins []string
	for _, header := range l.heard {
		if header != "" {
			logins = append(logins, header)
		}
	}
	return logins
}

// A registry that is spoken to by plain HTTP gets no login, whatever it asks
// for, unless a setting names it.
func TestNoLoginWithoutTLS(t *testing.T) {
	challenges := map[string]func(host string) string{
		"basic":        func(string) string { return `Basic realm="r"` },
		"token":        func(host string) string { return `Bearer realm="http://` + host + `/token",service="s"` },
		"unchallenged": func(string) string { return "" },
	}
	for name, challenge := range challenges {
		t.Run(name, func(t *testing.T) {
			var l *listener
			l = newListener(t, func(w http.ResponseWriter, _ *http.Request) {
				if text := challenge(l.host); text != "" {
					w.Header().Set("WWW-Authenticate", text)
					w.WriteHeader(http.StatusUnauthorized)
				}
			})
			g := start(t, gate.Config{
				Push: l.host + "/app:k1-0", Pull: []string{l.host + "/base:1"}, Insecure: []string{l.host},
				PlainLogin: []string{"registry.example.com"}, DockerConfig: dockerConfig(t, l.host),
			})
			repository := g.reference(t, l.host+"/app:k1-0").Context().RepositoryStr()
			base := g.reference(t, l.host+"/base:1").Context().RepositoryStr()
			for _, request := range []struct{ method, path string }{
				{"POST", "/v2/" + repository + "/blobs/uploads/"},
				{"GET", "/v2/" + base + "/manifests/1"},
			} {
				status, body := g.do(t, request.method, request.path, "", "")
				if status != http.StatusForbidden || !strings.Contains(body, "KILN_PLAIN_LOGIN") || !strings.Contains(body, l.host) {
					t.Errorf("%s: answer %d %s", request.method, status, body)
				}
			}
			if logins := l.logins(); len(logins) > 0 {
				t.Errorf("the host heard %q", logins)
			}
		})
	}
}

// A token server without TLS gets none either, though the registry may.
func TestNoLoginToPlainTokenServer(t *testing.T) {
	tokens := newListener(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"token":"t"}`)) })
	realm := strings.Replace(tokens.url, "127.0.0.1", "localhost", 1)
	l := newListener(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`/token",service="s"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	g := start(t, gate.Config{
		Push: l.host + "/app:k1-0", Insecure: []string{l.host, strings.TrimPrefix(realm, "http://")},
		PlainLogin: []string{l.host}, DockerConfig: dockerConfig(t, l.host),
	})
	status, body := g.do(t, "POST", "/v2/"+g.reference(t, l.host+"/app:k1-0").Context().RepositoryStr()+"/blobs/uploads/", "", "")
	if status != http.StatusForbidden || !strings.Contains(body, "KILN_PLAIN_LOGIN") {
		t.Errorf("answer %d %s", status, body)
	}
	if logins := append(tokens.logins(), l.logins()...); len(logins) > 0 {
		t.Errorf("the hosts heard %q", logins)
	}
}
