package cluster

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kiln/e2e/cluster/internal/progress"
)

func TestAwait(t *testing.T) {
	slow := errors.New("node n1 is not ready")
	tests := map[string]struct {
		answersAfter time.Duration // 0 means at once
		diesAfter    time.Duration
		hangs        bool // each question, until its time is up
		took         time.Duration
		want, said   string
	}{
		"answers at once":      {},
		"answers in a minute":  {answersAfter: time.Minute, took: time.Minute, said: "waiting for cluster kiln, whose node runs: node n1 is not ready: done in 1m0s"},
		"never answers":        {answersAfter: time.Hour, took: checkLimit, want: "is broken, though its node runs: node n1 is not ready", said: "failed after 3m0s"},
		"takes no answer long": {answersAfter: time.Hour, hangs: true, took: answerLimit + checkLimit, want: "though its node runs: context deadline exceeded"},
		"has no node":          {answersAfter: time.Hour, diesAfter: -1, want: "its node does not run: node n1 is not ready"},
		"loses its node":       {answersAfter: time.Hour, diesAfter: 30 * time.Second, took: 30 * time.Second, want: "its node ended: node n1 is not ready", said: "failed after 30s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var printed bytes.Buffer
				c := New(Config{Dir: "/d", Name: "kiln", Progress: progress.New(&printed)})
				began := time.Now()
				ask := func(ctx context.Context) error {
					if time.Since(began) >= tt.answersAfter {
						return nil
					}
					if tt.hangs {
						<-ctx.Done()
						return ctx.Err()
					}
					return slow
				}
				runs := func(context.Context) bool { return tt.diesAfter == 0 || time.Since(began) < tt.diesAfter }
				err := c.await(t.Context(), ask, runs)
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("await = %v, want %q", err, tt.want)
				}
				if took := time.Since(began); took < tt.took || took > tt.took+checkInterval {
					t.Errorf("await took %v, want %v", took, tt.took)
				}
				if said := printed.String(); !strings.Contains(said, tt.said) || tt.took == 0 && said != "" {
					t.Errorf("printed %q, want %q in it, or nothing for an answer at once", said, tt.said)
				}
			})
		})
	}
}

// TestCheck has a cluster whose API server is not ready when it is first asked.
func TestCheck(t *testing.T) {
	tests := map[string]struct{ node, registries, want string }{
		"slow":           {"kiln-control-plane", "kiln-registry kiln-registry-auth", ""},
		"node gone":      {"", "kiln-registry kiln-registry-auth", "its node does not run: ask the API server"},
		"only a worker":  {"kiln-worker", "kiln-registry kiln-registry-auth", "its node does not run: ask the API server"},
		"registry ended": {"kiln-control-plane", "kiln-registry", "only 1 of its 2 registries run"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fakeDocker(t, tt.node, tt.registries)
			c := New(Config{Dir: t.TempDir(), Name: "kiln", Progress: progress.New(t.Output())})
			if err := os.MkdirAll(c.dir(), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := c.saveState(State{Push: fakeRegistry(t)}); err != nil {
				t.Fatal(err)
			}
			fakeAPI(t, c.Kubeconfig())
			err := c.Check(t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Check = %v, want %q", err, tt.want)
			}
		})
	}
}

// fakeDocker puts a docker into the PATH that lists the containers of a kind
// cluster and the registries.
func fakeDocker(t *testing.T, node, registries string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in\n" +
		"ps*io.x-k8s.kind.cluster=kiln*status=running*) echo '" + node + "' ;;\n" +
		"ps*kiln.build/cluster=kiln*) echo '" + registries + "' ;;\n" +
		"version*) echo 1 ;;\n*) exit 1 ;;\nesac\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

// fakeRegistry has every image.
func fakeRegistry(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
		w.Header().Set("Content-Length", "2")
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// fakeAPI is not ready when it is first asked, and ready from then on.
func fakeAPI(t *testing.T, kubeconfig string) {
	t.Helper()
	var asked atomic.Bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/readyz" && !asked.Swap(true):
			http.Error(w, "etcd not ready", http.StatusInternalServerError)
		case r.URL.Path == "/api/v1/nodes":
			fmt.Fprint(w, `{"items":[{"metadata":{"name":"n1"},"status":{"conditions":[{"type":"Ready","status":"True"}]}}]}`)
		default:
			fmt.Fprint(w, `{"status":{"availableReplicas":1}}`)
		}
	}))
	t.Cleanup(server.Close)
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	certificate := encode("CERTIFICATE", pair.Certificate[0])
	text := fmt.Sprintf("clusters: [{cluster: {server: %q, certificate-authority-data: %q}}]\n"+
		"users: [{user: {client-certificate-data: %q, client-key-data: %q}}]\n",
		server.URL, certificate, certificate, encode("PRIVATE KEY", key))
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
