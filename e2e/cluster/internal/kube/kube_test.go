package kube

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReady(t *testing.T) {
	const node = `{"items":[{"metadata":{"name":"n1"},"status":{"conditions":[{"type":"Ready","status":%q}]}}]}`
	whole := func() map[string]string {
		return map[string]string{
			"/readyz":       "ok",
			"/api/v1/nodes": fmt.Sprintf(node, "True"),
			"/apis/apps/v1/namespaces/kube-system/deployments/coredns": `{"status":{"availableReplicas":1}}`,
			"/apis/storage.k8s.io/v1/storageclasses/standard":          `{}`,
			"/api/v1/namespaces/default/serviceaccounts/default":       `{}`,
		}
	}
	tests := map[string]struct {
		path, body, want string
	}{
		"all there":     {"/readyz", "ok", ""},
		"a node is not": {"/api/v1/nodes", fmt.Sprintf(node, "False"), "node n1 is not ready"},
		"no node":       {"/api/v1/nodes", `{"items":[]}`, "has no node"},
		"DNS is not":    {"/apis/apps/v1/namespaces/kube-system/deployments/coredns", `{"status":{}}`, "CoreDNS"},
		"no storage":    {"/apis/storage.k8s.io/v1/storageclasses/standard", "", "StorageClass standard"},
		"no account":    {"/api/v1/namespaces/default/serviceaccounts/default", "", "service account"},
		"starting":      {"/readyz", "", "API server"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			answers := whole()
			answers[tt.path] = tt.body
			err := clientOf(t, answers).Ready(t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Ready = %v, want %q", err, tt.want)
			}
		})
	}
}

// clientOf returns a client of a server that answers 404 where there is no
// body.
func clientOf(t *testing.T, answers map[string]string) *Client {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := answers[r.URL.Path]
		if body == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return &Client{server: server.URL, http: server.Client()}
}

func TestFromFileNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	for name, content := range map[string]string{"empty": "", "not YAML": "a: [", "no certificate": "clusters: [{}]\nusers: [{}]\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := FromFile(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: FromFile = %v, want an error with the path", name, err)
		}
	}
}
