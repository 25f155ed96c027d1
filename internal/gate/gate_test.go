package gate_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"

	"kiln/internal/gate"
	names "kiln/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream is a registry that asks for a password, and what was asked of it.
type upstream struct {
	host    string
	content http.Handler
	mu      sync.Mutex
	lines   []string
}

const user, password = "robot", "hunter2"

// newUpstream starts a registry. Wrap, if not nil, answers requests that have
// the right password, usually with the registry's own handler.
func newUpstream(t *testing.T, wrap func(content http.Handler) http.Handler) *upstream {
	t.Helper()
	u := &upstream{content: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	handler := u.content
	if wrap != nil {
		handler = wrap(u.content)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.record(r)
		if gotUser, gotPassword, _ := r.BasicAuth(); gotUser != user || gotPassword != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	u.host = strings.TrimPrefix(server.URL, "http://")
	return u
}

func (u *upstream) record(r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lines = append(u.lines, r.Method+" "+r.URL.RequestURI())
}

// requests returns the requests so far whose line contains part.
func (u *upstream) requests(part string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var found []string
	for _, line := range u.lines {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}

// write puts an image into the registry without asking for a password.
func (u *upstream) write(t *testing.T, repository string) v1.Image {
	t.Helper()
	server := httptest.NewServer(u.content)
	defer server.Close()
	image, err := random.Image(2000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(t, strings.TrimPrefix(server.URL, "http://")+"/"+repository), image, remote.WithTransport(transport(t))); err != nil {
		t.Fatal(err)
	}
	return image
}

// layerOf returns the digest of an image's first layer.
func (u *upstream) layerOf(t *testing.T, image string) string {
	t.Helper()
	server := httptest.NewServer(u.content)
	defer server.Close()
	stored, err := remote.Image(reference(t, strings.TrimPrefix(server.URL, "http://")+"/"+image), remote.WithTransport(transport(t)))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := stored.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// dockerConfig writes the credentials of the hosts.
func dockerConfig(t *testing.T, hosts ...string) string {
	t.Helper()
	return dockerConfigOf(t, user, hosts...)
}

// dockerConfigOf writes the credentials of a user at the hosts.
func dockerConfigOf(t *testing.T, name string, hosts ...string) string {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
	entries := make([]string, 0, len(hosts))
	for _, host := range hosts {
		entries = append(entries, fmt.Sprintf(`%q:{"auth":%q}`, host, auth))
	}
	file := filepath.Join(t.TempDir(), ".dockerconfigjson")
	if err := os.WriteFile(file, []byte(`{"auths":{`+strings.Join(entries, ",")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// running is a gate that answers on a socket.
type running struct {
	host string
	log  *logBuffer
}

type logBuffer struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote sync.Cond
}

// await waits until a text was written.
func (b *logBuffer) await(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !strings.Contains(b.text.String(), text) {
		b.wrote.Wait()
	}
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.wrote.Broadcast()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start runs a gate. Unless config says otherwise, the registries of the test may
// get a login without TLS.
func start(t *testing.T, config gate.Config) running {
	t.Helper()
	if config.PlainLogin == nil {
		config.PlainLogin = config.Insecure
	}
	output := &logBuffer{}
	output.wrote.L = &output.mu
	config.Log = output
	if config.CAFile == "" {
		config.Transport = transport(t)
	}
	config.Retries = []time.Duration{time.Millisecond}
	handler, err := gate.New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- handler.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	g := running{host: listener.Addr().String(), log: output}
	if status, body := g.do(t, "GET", "/v2/", "", ""); status != http.StatusOK {
		t.Fatalf("the gate answers %d %s", status, body)
	}
	return g
}

// transport returns a transport whose connections end with the test.
func transport(t *testing.T) *http.Transport {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// reference is where the gate's client finds an image.
func (g running) reference(t *testing.T, image string) name.Reference {
	t.Helper()
	ref := reference(t, image)
	element, err := names.Element(ref.Context().RegistryStr())
	if err != nil {
		t.Fatal(err)
	}
	return reference(t, g.host+"/"+element+"/"+ref.Context().RepositoryStr()+strings.TrimPrefix(ref.String(), ref.Context().String()))
}

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text, name.WithDefaultTag("latest"))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// do sends one request to the gate and returns status and body.
func (g running) do(t *testing.T, method, path, contentType, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	request.Header.Set("Content-Type", contentType)
	response, err := transport(t).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func digestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// extend returns base with one layer more, as a build makes it.
func extend(t *testing.T, base v1.Image) v1.Image {
	t.Helper()
	layer, err := random.Layer(3000, "application/vnd.docker.image.rootfs.diff.tar.gzip")
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// A build pulls its base from one registry and pushes to another, each with its
// own password, through a gate that needs none.
func TestBuildThroughGate(t *testing.T) {
	bases, target := newUpstream(t, nil), newUpstream(t, nil)
	written := bases.write(t, "library/base:1")
	push := target.host + "/acme/app:k1-0"
	g := start(t, gate.Config{
		Push:         push,
		Pull:         []string{bases.host + "/library/base:1"},
		Insecure:     []string{bases.host, target.host},
		DockerConfig: dockerConfig(t, bases.host, target.host),
	})
	client := remote.WithTransport(transport(t))
	base, err := remote.Image(g.reference(t, bases.host+"/library/base:1"), client)
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(t, base) != digestOf(t, written) {
		t.Errorf("pulled %s, want %s", digestOf(t, base), digestOf(t, written))
	}
	built := extend(t, base)
	for range 2 {
		if err := remote.Write(g.reference(t, push), built, client); err != nil {
			t.Fatal(err)
		}
	}
	digest := digestOf(t, built)
	if got, want := g.log.String(), "listening\npushed "+digest+"\n"; got != want {
		t.Errorf("log = %q, want %q", got, want)
	}
	stored := httptest.NewServer(target.content)
	defer stored.Close()
	pushed, err := remote.Image(reference(t, strings.TrimPrefix(stored.URL, "http://")+"/acme/app:k1-0"), client)
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(t, pushed) != digest {
		t.Errorf("the registry holds %s, want %s", digestOf(t, pushed), digest)
	}
}
