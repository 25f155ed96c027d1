package gate_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/internal/gate"
	names "kiln/internal/registry"
)

// tokenRegistry is a registry with a token server, as
// https://distribution.github.io/distribution/spec/auth/token/ describes it: a
// token opens the scopes that it was issued for, until it expires.
type tokenRegistry struct {
	*upstream
	url string

	mu     sync.Mutex
	issued map[string][]string // token to scopes
	asked  []string            // user and scopes of every token
	uses   map[string]int
	// uses that a token is good for; 0 is for ever.
	limit int
	// expired are the requests that came with a token that had expired.
	expired []string
	// grant are the scopes that a user may have; nil is all.
	grant func(user, scope string) bool
}

func newTokenRegistry(t *testing.T) *tokenRegistry {
	t.Helper()
	r := &tokenRegistry{upstream: newUpstream(t, nil), issued: map[string][]string{}, uses: map[string]int{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

// ServeHTTP implements http.Handler.
func (s *tokenRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.record(r)
	if r.URL.Path == "/token" {
		s.issue(w, r)
		return
	}
	if scope := needed(r); !s.opens(r, scope) {
		challenge := fmt.Sprintf("Bearer realm=%q,service=%q", s.url+"/token", "test")
		if scope != "" {
			challenge += fmt.Sprintf(",scope=%q", scope)
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`))
		return
	}
	s.content.ServeHTTP(w, r)
}

// needed is the scope that a request needs, or "" for the base of the API.
func needed(r *http.Request) string {
	repository, _, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
	if !found {
		repository, _, found = strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
	}
	switch {
	case !found:
		return ""
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return "repository:" + repository + ":pull"
	}
	return "repository:" + repository + ":push"
}

// opens reports whether the request has a token for the scope.
func (s *tokenRegistry) opens(r *http.Request, scope string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	scopes, known := s.issued[token]
	if !known {
		return false
	}
	if s.uses[token]++; s.limit > 0 && s.uses[token] > s.limit {
		s.expired = append(s.expired, r.Method)
		return false
	}
	prefix, action, _ := cutLast(scope)
	return scope == "" || slices.ContainsFunc(scopes, func(have string) bool {
		havePrefix, actions, _ := cutLast(have)
		return havePrefix == prefix && slices.Contains(strings.Split(actions, ","), action)
	})
}

func cutLast(scope string) (before, after string, found bool) {
	i := strings.LastIndexByte(scope, ':')
	if i < 0 {
		return scope, "", false
	}
	return scope[:i], scope[i+1:], true
}

func (s *tokenRegistry) issue(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, secret, given := r.BasicAuth()
	if given && secret != password {
		http.Error(w, "wrong password", http.StatusUnauthorized)
		return
	}
	scopes := r.URL.Query()["scope"]
	s.asked = append(s.asked, name+" "+strings.Join(scopes, " "))
	if s.grant != nil {
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return !s.grant(name, scope) })
	}
	token := fmt.Sprintf("token-%d", len(s.issued))
	s.issued[token] = scopes
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 60})
}

// A build pulls and pushes with tokens, each for what it does and no more; a
// mount asks for the right to read where it mounts from.
func TestTokenScopes(t *testing.T) {
	r := newTokenRegistry(t)
	r.write(t, "acme/base:1")
	push := r.host + "/acme/app:k1-0"
	g := start(t, gate.Config{
		Push:         push,
		Pull:         []string{r.host + "/acme/base:1"},
		Insecure:     []string{r.host},
		DockerConfig: dockerConfig(t, r.host),
	})
	buildThrough(t, g, r.host+"/acme/base:1", push)
	app, base := g.reference(t, push).Context().RepositoryStr(), g.reference(t, r.host+"/acme/base:1").Context().RepositoryStr()
	mount := "/v2/" + app + "/blobs/uploads/?from=" + base + "&mount=" + r.layerOf(t, "acme/base:1")
	if status, body := g.do(t, "POST", mount, "", ""); status != http.StatusCreated && status != http.StatusAccepted {
		t.Errorf("mount: answer %d %s", status, body)
	}
	want := []string{
		"robot repository:acme/base:pull",
		"robot repository:acme/app:push,pull",
		"robot repository:acme/app:push,pull repository:acme/base:pull",
	}
	for _, asked := range r.asked {
		if !slices.Contains(want, asked) {
			t.Errorf("a token was asked for: %q", asked)
		}
	}
	if len(r.asked) != len(want) {
		t.Errorf("tokens %q, want %q", r.asked, want)
	}
}

// buildThrough pulls a base and pushes what was built on it, as a builder does.
func buildThrough(t *testing.T, g running, base, push string) {
	t.Helper()
	client := remote.WithTransport(transport(t))
	pulled, err := remote.Image(g.reference(t, base), client)
	if err != nil {
		t.Fatal(err)
	}
	pullAll(t, g, base)
	built := extend(t, pulled)
	again := remote.WithRetryBackoff(remote.Backoff{Duration: time.Millisecond, Factor: 1, Steps: 9})
	if err := remote.Write(g.reference(t, push), built, client, again, remote.WithJobs(1)); err != nil {
		t.Fatal(err)
	}
	if want := "pushed " + digestOf(t, built) + "\n"; !strings.Contains(g.log.String(), want) {
		t.Errorf("log %q, want %q", g.log.String(), want)
	}
}

// Tokens that expire at any moment are renewed. What was cut off in the middle
// of a layer is never taken for the whole: the client is told to send it again.
func TestTokensExpire(t *testing.T) {
	var expired []string
	for limit := 3; limit <= 8; limit++ {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			r := newTokenRegistry(t)
			r.write(t, "acme/base:1")
			push := r.host + "/acme/app:k1-0"
			g := start(t, gate.Config{
				Push:         push,
				Pull:         []string{r.host + "/acme/base:1"},
				Insecure:     []string{r.host},
				DockerConfig: dockerConfig(t, r.host),
			})
			r.limit = limit
			buildThrough(t, g, r.host+"/acme/base:1", push)
			expired = append(expired, r.expired...)
		})
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PATCH", "PUT"} {
		if !slices.Contains(expired, method) {
			t.Errorf("no token expired before a %s, only before %q", method, expired)
		}
	}
}

// A piece of a layer that came with an expired token is answered with 503,
// which clients answer with the whole layer.
func TestTokenExpiresBeforeAPiece(t *testing.T) {
	r := newTokenRegistry(t)
	push := r.host + "/acme/app:k1-0"
	g := start(t, gate.Config{Push: push, Insecure: []string{r.host}, DockerConfig: dockerConfig(t, r.host)})
	uploads := "/v2/" + g.reference(t, push).Context().RepositoryStr() + "/blobs/uploads/"
	if status, body := g.do(t, "POST", uploads, "", ""); status != http.StatusAccepted {
		t.Fatalf("answer %d %s", status, body)
	}
	r.limit = 1
	if status, body := g.do(t, "PATCH", uploads+"1", "", "piece"); status != http.StatusServiceUnavailable || !strings.Contains(body, "the login ended") {
		t.Errorf("answer %d %s", status, body)
	}
	if status, body := g.do(t, "PATCH", uploads+"1", "", "piece"); status != http.StatusAccepted {
		t.Errorf("the next piece is answered %d %s", status, body)
	}
}

// Bases are pulled with the secret for pulls, and anonymously outside of what
// it may be used for. A mount gives no more than a pull.
func TestPullCredentials(t *testing.T) {
	r := newTokenRegistry(t)
	for _, repository := range []string{"bases/go:1", "public/tool:1", "secret/app:1", "team/app:1"} {
		r.write(t, repository)
	}
	r.grant = func(user, scope string) bool {
		switch {
		case strings.Contains(scope, ":public/"):
			return true
		case user == "puller":
			return strings.Contains(scope, ":bases/") || strings.Contains(scope, ":secret/")
		}
		return user == "robot" && !strings.Contains(scope, ":secret/")
	}
	allow, err := names.ParseAllow([]string{r.host + "/bases/*", r.host + "/team/*"})
	if err != nil {
		t.Fatal(err)
	}
	push := r.host + "/acme/app:k1-0"
	var pulls []string
	for _, repository := range []string{"bases/go:1", "public/tool:1", "secret/app:1", "team/app:1"} {
		pulls = append(pulls, r.host+"/"+repository)
	}
	g := start(t, gate.Config{
		Push:             push,
		Pull:             pulls,
		Insecure:         []string{r.host},
		DockerConfig:     dockerConfig(t, r.host),
		PullDockerConfig: dockerConfigOf(t, "puller", r.host),
		PullAllow:        allow,
	})
	tests := []struct {
		repository string
		pull       int
		mount      bool
	}{
		{"bases/go", http.StatusOK, true},
		{"public/tool", http.StatusOK, true},
		{"secret/app", http.StatusUnauthorized, false}, // the puller might, but not here
		{"team/app", http.StatusUnauthorized, false},   // the pusher might
	}
	uploads := "/v2/" + g.reference(t, push).Context().RepositoryStr() + "/blobs/uploads/"
	for _, tt := range tests {
		path := g.reference(t, r.host+"/"+tt.repository).Context().RepositoryStr()
		if status, body := g.do(t, "GET", "/v2/"+path+"/manifests/1", "", ""); status != tt.pull {
			t.Errorf("GET of %s: answer %d %s, want %d", tt.repository, status, body, tt.pull)
		}
		before := len(r.requests("mount="))
		digest := r.layerOf(t, tt.repository+":1")
		g.do(t, "POST", uploads+"?mount="+digest+"&from="+path, "", "")
		if mounted := len(r.requests("mount=")) > before; mounted != tt.mount {
			t.Errorf("mount from %s reached the registry: %v, want %v", tt.repository, mounted, tt.mount)
		}
	}
	for _, asked := range r.asked {
		if strings.HasPrefix(asked, "puller ") && !strings.Contains(asked, ":bases/") && !strings.Contains(asked, ":team/") {
			t.Errorf("a token was asked for: %q", asked)
		}
	}
}
