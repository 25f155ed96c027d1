package registry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"kiln/internal/registry"
)

func TestImage(t *testing.T) {
	h := newHub(t, "pushing", nil)
	labels := map[string]string{"kiln.build/a": "b"}
	for name, created := range map[string]time.Time{
		"now": time.Now().UTC().Truncate(time.Second), "none": {}, "1970": time.Unix(0, 0).UTC(), "future": time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			digest := h.put(t, "app:k1-"+name, image(t, created, labels))
			h.requests()
			c := newClient(t, registry.ClientConfig{Push: robot("pushing", h.host)}, h)
			got, err := c.Image(t.Context(), h.host+"/app:k1-"+name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(registry.Image{Digest: digest, Created: created, Labels: labels}, got); diff != "" {
				t.Errorf("Image (-want +got):\n%s", diff)
			}
			if asked := h.requests(); len(asked) != 2 {
				t.Errorf("requests = %q, want two", asked)
			}
		})
	}
}

func TestImageRefusesIndex(t *testing.T) {
	h := newHub(t, "", nil)
	h.put(t, "app:k1-0", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image(t, time.Now(), nil)}))
	_, err := newClient(t, registry.ClientConfig{}, h).Image(t.Context(), h.host+"/app:k1-0")
	if kindOf(t, err) != registry.Malformed || !strings.Contains(err.Error(), "index") {
		t.Errorf("error = %v", err)
	}
}

// hostile answers manifests and blobs with the given bodies.
func hostile(t *testing.T, manifest, blob string) *hub {
	t.Helper()
	return newHub(t, "", func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := manifest
			if strings.Contains(r.URL.Path, "/blobs/") {
				body = blob
			}
			_, _ = w.Write([]byte(body))
		})
	})
}

func manifestOf(config string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q}}`, registry.DigestOf([]byte(config)))
}

func TestImageOfHostileRegistry(t *testing.T) {
	large := `{"x":"` + strings.Repeat("x", registry.MaxDocument) + `"}`
	many := `{"config":{"Labels":{"a":"b"` + strings.Repeat(`,"a":"b"`, registry.MaxCommas+1) + `}}}`
	for name, tc := range map[string]struct{ manifest, blob, want string }{
		"large manifest": {large, "", "larger than"},
		"large config":   {manifestOf(large), large, "larger than"},
		"many labels":    {manifestOf(many), many, "elements"},
		"many variants":  {`{"manifests":[{}` + strings.Repeat(",{}", registry.MaxCommas+1) + `]}`, "", "elements"},
		"no JSON":        {"<html>", "", "invalid character"},
		"no config":      {"{}", "", "names no config"},
		"path as digest": {`{"config":{"digest":"../../../token"}}`, "", "names no config"},
		"other config":   {manifestOf("{}"), `{"config":{}}`, "another digest"},
		"config no JSON": {manifestOf("<html>"), "<html>", "invalid character"},
		"deep":           {strings.Repeat(`{"config":`, 20000), "", "exceeded max depth"},
	} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t, tc.manifest, tc.blob)
			_, err := newClient(t, registry.ClientConfig{}, h).Image(t.Context(), h.host+"/app:k1-0")
			if kindOf(t, err) != registry.Malformed || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
	// A build time that is none is no reason to fail a step.
	config := `{"created":"yesterday"}`
	h := hostile(t, manifestOf(config), config)
	if got, err := newClient(t, registry.ClientConfig{}, h).Image(t.Context(), h.host+"/app:k1-0"); err != nil || !got.Created.IsZero() {
		t.Errorf("Image = %+v, %v", got, err)
	}
}

func TestBase(t *testing.T) {
	h := newHub(t, "", nil)
	variant := func(arch string, triggers ...string) mutate.IndexAddendum {
		return mutate.IndexAddendum{
			Add:        image(t, time.Now(), map[string]string{"arch": arch}, triggers...),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		}
	}
	windows := variant("amd64", "COPY windows /")
	windows.Platform = &v1.Platform{OS: "windows", Architecture: "amd64"}
	index := h.put(t, "base:multi", mutate.AppendManifests(empty.Index, windows, variant("amd64", "COPY . /src", "RUN make"), variant("arm64")))
	single := h.put(t, "base:single", image(t, time.Now(), nil, "ADD x /"))
	h.requests()
	c := newClient(t, registry.ClientConfig{}, h)
	for name, tc := range map[string]struct {
		digest, arch string
		want         []string
		kind         registry.Kind
	}{
		"of the platform":  {index, "amd64", []string{"COPY . /src", "RUN make"}, ""},
		"none":             {index, "arm64", nil, ""},
		"no such platform": {index, "riscv64", nil, registry.OtherPlatform},
		"no index":         {single, "amd64", []string{"ADD x /"}, ""},
		"no digest":        {"latest", "amd64", nil, registry.Malformed},
		"unknown":          {registry.DigestOf(nil), "amd64", nil, registry.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Base(t.Context(), h.host+"/base:any", tc.digest, tc.arch)
			if kindOf(t, err) != tc.kind || !cmp.Equal(got.Triggers, tc.want) {
				t.Errorf("Base = %q, %v", got.Triggers, err)
			}
			h.requests()
			if _, err := c.Base(t.Context(), h.host+"/base:any", tc.digest, tc.arch); tc.kind == "" && (err != nil || len(h.requests()) != 0) {
				t.Errorf("the second answer came with a request, or %v", err)
			}
		})
	}
}

// The SHELL of a base image is read too, within a bound.
func TestBaseShell(t *testing.T) {
	for config, want := range map[string][]string{
		`{"config":{"Shell":["/bin/bash","-c"]}}`: {"/bin/bash", "-c"},
		`{"config":{}}`: nil,
		`{"config":{"Shell":["` + strings.Repeat("x", 5000) + `"]}}`: {"refused"},
	} {
		h := hostile(t, manifestOf(config), config)
		got, err := newClient(t, registry.ClientConfig{}, h).Base(t.Context(), h.host+"/base:1", registry.DigestOf([]byte(manifestOf(config))), "amd64")
		if cmp.Equal(want, []string{"refused"}) {
			if kindOf(t, err) != registry.Malformed || !strings.Contains(err.Error(), "SHELL takes") {
				t.Errorf("error = %v", err)
			}
		} else if err != nil || !cmp.Equal(got.Shell, want) {
			t.Errorf("%s: Shell = %q, %v", config, got.Shell, err)
		}
	}
}

// A registry that answers a digest with other bytes, or with triggers beyond
// all measure, is not believed.
func TestBaseOfHostileRegistry(t *testing.T) {
	config := `{"config":{"OnBuild":["` + strings.Repeat("x", registry.MaxTriggers+1) + `"]}}`
	h := hostile(t, manifestOf(config), config)
	c := newClient(t, registry.ClientConfig{}, h)
	for digest, want := range map[string]string{
		registry.DigestOf([]byte(manifestOf(config))): "ONBUILD triggers take",
		registry.DigestOf([]byte("other")):            "another digest",
	} {
		_, err := c.Base(t.Context(), h.host+"/base:1", digest, "amd64")
		if kindOf(t, err) != registry.Malformed || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}

// Credentials go where they belong: those for pushing to look-ups of built
// images, those for pulling to base images, neither to another registry.
func TestCredentialsStayWhereTheyBelong(t *testing.T) {
	ours, other := newHub(t, "pushing", nil), newHub(t, "", nil)
	ours.put(t, "app:k1-0", image(t, time.Now(), nil))
	ours.put(t, "base:1", image(t, time.Now(), nil))
	other.put(t, "base:1", image(t, time.Now(), nil))
	c := newClient(t, registry.ClientConfig{Push: robot("pushing", ours.host), Pull: robot("pulling", ours.host)}, ours, other)
	if _, err := c.Image(t.Context(), ours.host+"/app:k1-0"); err != nil {
		t.Error(err)
	}
	if _, err := c.Resolve(t.Context(), ours.host+"/base:1"); kindOf(t, err) != registry.Denied {
		t.Errorf("the password for pulling is wrong, and the error is %v", err)
	}
	if _, err := c.Resolve(t.Context(), other.host+"/base:1"); err != nil {
		t.Error(err)
	}
	if other.got("Basic") {
		t.Error("a registry got the credentials of another")
	}
}

// The keychain is asked each time: a Secret that changes counts at once.
func TestCredentialsAreReadAgain(t *testing.T) {
	h := newHub(t, "new", nil)
	h.put(t, "app:k1-0", image(t, time.Now(), nil))
	config := func(password string) string {
		return fmt.Sprintf(`{"auths":{%q:{"username":"robot","password":%q}}}`, h.host, password)
	}
	file := writeFile(t, config("old"))
	c := newClient(t, registry.ClientConfig{Push: registry.FileKeychain(file)}, h)
	steps := []struct {
		password string
		want     registry.Kind
	}{{"old", registry.Denied}, {"new", ""}, {"old", registry.Denied}}
	for _, step := range steps {
		if err := os.WriteFile(file, []byte(config(step.password)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Image(t.Context(), h.host+"/app:k1-0"); kindOf(t, err) != step.want {
			t.Errorf("with the %s password: %v", step.password, err)
		}
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Image(t.Context(), h.host+"/app:k1-0"); kindOf(t, err) != registry.Denied || !strings.Contains(err.Error(), file) {
		t.Errorf("with a broken file: %v", err)
	}
}

// Without leave, nothing is sent by plain HTTP, not even a question.
func TestPlainHTTPIsRefused(t *testing.T) {
	h := newHub(t, "", nil)
	c := newClient(t, registry.ClientConfig{Pull: robot("", h.host)})
	_, err := c.Resolve(t.Context(), h.host+"/base:1")
	if kindOf(t, err) != registry.Unreachable || !strings.Contains(err.Error(), "KILN_INSECURE_REGISTRIES does not name it") {
		t.Errorf("error = %v", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.seen) != 0 {
		t.Errorf("%d requests reached the registry", len(h.seen))
	}
}

// A download that is sent elsewhere takes no credentials along, and what reads
// the blob there gets into no error.
func TestRedirectedConfig(t *testing.T) {
	var h *hub
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("the other host got Authorization %q", got)
		}
		h.content.ServeHTTP(w, r)
	}))
	defer elsewhere.Close()
	h = newHub(t, "pushing", func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(w, r, elsewhere.URL+r.URL.Path+"?signature=s3cret", http.StatusTemporaryRedirect)
				return
			}
			content.ServeHTTP(w, r)
		})
	})
	h.put(t, "app:k1-0", image(t, time.Now(), nil))
	config := registry.ClientConfig{Push: robot("pushing", h.host)}
	_, err := newClient(t, config, h).Image(t.Context(), h.host+"/app:k1-0")
	if kindOf(t, err) != registry.Unreachable || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a redirect to plain HTTP: %v", err)
	}
	config.Insecure = []string{strings.TrimPrefix(elsewhere.URL, "http://")}
	if _, err := newClient(t, config, h).Image(t.Context(), h.host+"/app:k1-0"); err != nil {
		t.Error(err)
	}
}
