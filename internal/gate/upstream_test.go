package gate_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/internal/gate"
	names "kiln/internal/registry"
)

// Registries send downloads elsewhere. The gate follows, and the other host
// gets neither password nor token.
func TestRedirectsAreFollowedWithoutCredentials(t *testing.T) {
	var bases *upstream
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("the other host got Authorization %q", got)
		}
		if r.URL.Query().Get("signature") != "s3cret" {
			t.Errorf("the signature is lost: %s", r.URL)
		}
		bases.content.ServeHTTP(w, r)
	}))
	defer elsewhere.Close()
	bases = newUpstream(t, func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(w, r, elsewhere.URL+r.URL.Path+"?signature=s3cret", http.StatusTemporaryRedirect)
				return
			}
			content.ServeHTTP(w, r)
		})
	})
	bases.write(t, "base:1")
	config := gate.Config{
		Push:         bases.host + "/app:k1-0",
		Pull:         []string{bases.host + "/base:1"},
		Insecure:     []string{bases.host, strings.TrimPrefix(elsewhere.URL, "http://")},
		DockerConfig: dockerConfig(t, bases.host, strings.TrimPrefix(elsewhere.URL, "http://")),
	}
	g := start(t, config)
	pullAll(t, g, bases.host+"/base:1")

	// Without leave, plain HTTP is not followed, and the signature stays secret.
	config.Insecure = config.Insecure[:1]
	g = start(t, config)
	status, body := blobOf(t, g, bases, "base")
	if status != http.StatusForbidden || !strings.Contains(body, "plain HTTP to") || strings.Contains(body+g.log.String(), "s3cret") {
		t.Errorf("answer %d %s, log %q", status, body, g.log.String())
	}
}

// pullAll reads every byte of an image through the gate.
func pullAll(t *testing.T, g running, image string) {
	t.Helper()
	pulled, err := remote.Image(g.reference(t, image), remote.WithTransport(transport(t)))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := pulled.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			t.Fatal(err)
		}
		if err := content.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// blobOf asks the gate for a blob of a repository of u.
func blobOf(t *testing.T, g running, u *upstream, repository string) (int, string) {
	t.Helper()
	element, err := names.Element(u.host)
	if err != nil {
		t.Fatal(err)
	}
	return g.do(t, "GET", "/v2/"+element+"/"+repository+"/blobs/"+someDigest, "", "")
}

// A mirror is asked first, and the registry itself for what the mirror lacks.
func TestMirror(t *testing.T) {
	origin, mirror := newUpstream(t, nil), newUpstream(t, nil)
	origin.write(t, "acme/only-there:1")
	origin.write(t, "acme/both:1")
	mirror.write(t, "cache/acme/both:1")
	mirrors, err := names.ParseMirrors([]string{origin.host + "=" + mirror.host + "/cache"})
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, gate.Config{
		Push:         origin.host + "/app:k1-0",
		Pull:         []string{origin.host + "/acme/only-there:1", origin.host + "/acme/both:1"},
		Mirrors:      mirrors,
		Insecure:     []string{origin.host, mirror.host},
		DockerConfig: dockerConfig(t, origin.host, mirror.host),
	})
	pullAll(t, g, origin.host+"/acme/both:1")
	if asked := origin.requests("acme/both"); len(asked) > 0 {
		t.Errorf("the registry was asked %q although its mirror had the image", asked)
	}
	pullAll(t, g, origin.host+"/acme/only-there:1")
	if asked := mirror.requests("acme/only-there"); len(asked) == 0 {
		t.Error("the mirror was not asked first")
	}
}

// A registry that drops the connection once is asked again.
func TestReadsAreTriedAgain(t *testing.T) {
	var dropped atomic.Bool
	bases := newUpstream(t, func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") && !dropped.Swap(true) {
				panic(http.ErrAbortHandler)
			}
			content.ServeHTTP(w, r)
		})
	})
	bases.write(t, "base:1")
	g := start(t, gate.Config{
		Push:         bases.host + "/app:k1-0",
		Pull:         []string{bases.host + "/base:1"},
		Insecure:     []string{bases.host},
		DockerConfig: dockerConfig(t, bases.host),
	})
	pullAll(t, g, bases.host+"/base:1")
}

func TestUnreachableRegistry(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	host := strings.TrimPrefix(gone.URL, "http://")
	mirror := newUpstream(t, nil)
	mirrors, err := names.ParseMirrors([]string{host + "=" + mirror.host})
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, gate.Config{
		Push:     host + "/app:k1-0",
		Pull:     []string{host + "/base:1"},
		Mirrors:  mirrors,
		Insecure: []string{host, mirror.host},
	})
	element, err := names.Element(host)
	if err != nil {
		t.Fatal(err)
	}
	status, body := g.do(t, "GET", "/v2/"+element+"/base/manifests/1", "", "")
	for _, want := range []string{"registry " + host, "connection refused", "its mirror " + mirror.host + ": it answers 401"} {
		if status != http.StatusFailedDependency || !strings.Contains(body, want) {
			t.Errorf("answer %d %s, want 424 with %q", status, body, want)
		}
	}
	if strings.Contains(g.log.String(), "denied") || !strings.Contains(g.log.String(), "# registry ") {
		t.Errorf("log = %q", g.log.String())
	}
}

// Private addresses get no plain HTTP, and so no password, unless the operator
// says so.
func TestPlainHTTPOnlyWhereNamed(t *testing.T) {
	target := newUpstream(t, nil)
	g := start(t, gate.Config{
		Push:         target.host + "/app:k1-0",
		Pull:         []string{target.host + "/base:1"},
		DockerConfig: dockerConfig(t, target.host),
	})
	status, body := blobOf(t, g, target, "base")
	if status != http.StatusForbidden || !strings.Contains(body, "KILN_INSECURE_REGISTRIES does not name it") {
		t.Errorf("answer %d %s", status, body)
	}
	if lines := target.requests(""); len(lines) > 0 {
		t.Errorf("the registry was asked %q", lines)
	}
}

// Registries that issue tokens get the password at their token server only.
func TestBearerTokens(t *testing.T) {
	content := newUpstream(t, nil)
	content.write(t, "acme/base:1")
	scopes := make(chan string, 100)
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if gotUser, gotPassword, _ := r.BasicAuth(); gotUser != user || gotPassword != password {
				http.Error(w, "who are you", http.StatusUnauthorized)
				return
			}
			scopes <- r.URL.Query().Get("scope")
			_ = json.NewEncoder(w).Encode(map[string]string{"token": "t0ken"})
			return
		}
		if r.Header.Get("Authorization") != "Bearer t0ken" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+server.URL+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		content.content.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	config := gate.Config{
		Push:         host + "/acme/app:k1-0",
		Pull:         []string{host + "/acme/base:1"},
		Insecure:     []string{host},
		DockerConfig: dockerConfig(t, host),
	}
	g := start(t, config)
	client := remote.WithTransport(transport(t))
	base, err := remote.Image(g.reference(t, host+"/acme/base:1"), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(g.reference(t, config.Push), extend(t, base), client); err != nil {
		t.Fatal(err)
	}
	close(scopes)
	for scope := range scopes {
		if scope != "repository:acme/base:pull" && scope != "repository:acme/app:push,pull" {
			t.Errorf("a token for %q was asked for", scope)
		}
	}

	// Without the password the answer says so, and is not tried again.
	config.DockerConfig = ""
	g = start(t, config)
	path := g.reference(t, config.Push).Context().RepositoryStr()
	status, body := g.do(t, "POST", "/v2/"+path+"/blobs/uploads/", "", "")
	if status != http.StatusUnauthorized || !strings.Contains(body, "UNAUTHORIZED") {
		t.Errorf("answer %d %s", status, body)
	}
}

func TestUnreadableCredentials(t *testing.T) {
	target := newUpstream(t, nil)
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, gate.Config{
		Push:         target.host + "/app:k1-0",
		Pull:         []string{target.host + "/base:1"},
		Insecure:     []string{target.host},
		DockerConfig: file,
	})
	status, body := blobOf(t, g, target, "base")
	if status != http.StatusForbidden || !strings.Contains(body, file) || strings.Contains(body+g.log.String(), "hunter2") {
		t.Errorf("answer %d %s, log %q", status, body, g.log.String())
	}
}
