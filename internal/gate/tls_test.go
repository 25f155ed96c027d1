package gate_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kiln/internal/gate"
)

// tlsUpstream serves a registry by TLS, with a certificate of its own, and
// returns it with the file that trusts it and the protocols that were spoken.
func tlsUpstream(t *testing.T, protocols ...string) (u *upstream, caFile string, spoken func() []string) {
	t.Helper()
	u = newUpstream(t, nil)
	var mu sync.Mutex
	var seen []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Proto)
		mu.Unlock()
		u.content.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	server.TLS.NextProtos = protocols
	t.Cleanup(server.Close)
	u.host = strings.TrimPrefix(server.URL, "https://")
	caFile = filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(caFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return u, caFile, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// Registries are spoken to in what they offer, HTTP/2 alone as well.
func TestProtocols(t *testing.T) {
	for want, offered := range map[string][]string{
		"HTTP/1.1": {"http/1.1"},
		"HTTP/2.0": {"h2"},
	} {
		t.Run(want, func(t *testing.T) {
			target, caFile, spoken := tlsUpstream(t, offered...)
			target.write(t, "base:1")
			push := target.host + "/app:k1-0"
			g := start(t, gate.Config{Push: push, Pull: []string{target.host + "/base:1"}, CAFile: caFile})
			buildThrough(t, g, target.host+"/base:1", push)
			for _, proto := range spoken() {
				if proto != want {
					t.Fatalf("the gate spoke %s, want %s", proto, want)
				}
			}
			if len(spoken()) == 0 {
				t.Error("the registry was asked nothing")
			}
		})
	}
}

// Without the operator's authorities, or with a file that has none, the answer
// says what is wrong.
func TestAuthorities(t *testing.T) {
	target, _, spoken := tlsUpstream(t, "h2")
	file := filepath.Join(t.TempDir(), "ca.crt")
	for _, want := range []string{"open " + file, file + " has no certificate"} {
		g := start(t, gate.Config{Push: target.host + "/app:k1-0", Pull: []string{target.host + "/base:1"}, CAFile: file})
		if status, body := blobOf(t, g, target, "base"); status != http.StatusForbidden || !strings.Contains(body, "KILN_CA_CONFIGMAP: read certificate authorities: "+want) {
			t.Errorf("answer %d %s, want %q", status, body, want)
		}
		if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := start(t, gate.Config{Push: target.host + "/app:k1-0", Pull: []string{target.host + "/base:1"}})
	if status, body := blobOf(t, g, target, "base"); status != http.StatusForbidden || !strings.Contains(body, "unknown authority") || !strings.Contains(body, "with KILN_CA_CONFIGMAP") {
		t.Errorf("answer %d %s", status, body)
	}
	if len(spoken()) > 0 {
		t.Errorf("the registry was asked %d times", len(spoken()))
	}
}
