package gate

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"kiln/internal/registry"
)

// FuzzRoute sends any request. What is let through names a repository of this
// build, and of tags only the listed ones and the build's own.
func FuzzRoute(f *testing.F) {
	digest := "sha256:" + strings.Repeat("a", 64)
	p, err := newPolicy(Config{Push: "ghcr.io/acme/app:k1-0", Pull: []string{"alpine:3.20@" + digest, "ghcr.io/acme/base:1"}})
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{
		"/v2/", "/v2/_catalog", "/v2/ghcr__io/acme/app/manifests/k1-0", "/v2/ghcr__io/acme/app/blobs/uploads/1",
		"/v2/index__docker__io/library/alpine/manifests/3.20", "/v2/ghcr__io/acme/base/blobs/" + digest,
		"/v2/ghcr__io/acme/base/../secret/manifests/1", "/v2/ghcr__io%2facme/base/manifests/1",
	} {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"} {
			f.Add(method, path, "digest="+digest)
		}
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		target, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		target.RawQuery = query
		op, reason := p.route(&http.Request{Method: method, URL: target})
		if reason != "" || op.action == ping {
			return
		}
		escaped := target.EscapedPath()
		reads := slices.Contains([]action{pull, pullPinned, ownManifest, findBlob}, op.action)
		if reads != (method == http.MethodGet || method == http.MethodHead) && op.action != continueUpload {
			t.Errorf("%s %s is let through as %d", method, path, op.action)
		}
		if op.action == pull || op.action == pullPinned {
			if op.repo == nil || !strings.HasPrefix(escaped, "/v2/"+op.repo.path+"/") {
				t.Errorf("%s %s is let through for %v", method, path, op.repo)
			}
			if !digestForm.MatchString(op.ref) && op.ref != "1" {
				t.Errorf("%s %s is let through for %q", method, path, op.ref)
			}
			return
		}
		if !strings.HasPrefix(escaped, "/v2/"+p.push.path+"/") {
			t.Errorf("%s %s is let through as %d", method, path, op.action)
		}
	})
}

// FuzzManifest checks any manifest. One that passes is that of an image also for
// readers that ignore case or take the last of two members.
func FuzzManifest(f *testing.F) {
	blob := `{"mediaType":"` + registry.LayerTypes()[3] + `","size":2,"digest":"sha256:` + strings.Repeat("a", 64) + `"}`
	for _, body := range []string{
		`{"schemaVersion":2,"config":` + blob + `,"layers":[` + blob + `]}`,
		`{"schemaVersion":2,"config":` + blob + `,"layers":null,"annotations":{"a":"b"}}`,
		`{"schemaVersion":2,"Manifests":[],"config":` + blob + `}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkManifest(body, ociManifest) != "" {
			return
		}
		var read struct {
			SchemaVersion int              `json:"schemaVersion"`
			MediaType     string           `json:"mediaType"`
			Manifests     json.RawMessage  `json:"manifests"`
			Subject       json.RawMessage  `json:"subject"`
			Config        map[string]any   `json:"config"`
			Layers        []map[string]any `json:"layers"`
		}
		if err := json.Unmarshal(body, &read); err != nil {
			t.Fatalf("%q passes: %v", body, err)
		}
		if read.Manifests != nil || read.Subject != nil || read.SchemaVersion != 2 || read.MediaType != "" && read.MediaType != ociManifest {
			t.Errorf("%q passes", body)
		}
		for _, layer := range append(read.Layers, read.Config) {
			for member := range layer {
				if strings.EqualFold(member, "urls") || strings.EqualFold(member, "data") {
					t.Errorf("%q passes with %q", body, member)
				}
			}
		}
	})
}
