//go:build e2e

package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/internal/gate"
	names "kiln/internal/registry"
)

// TestDistribution builds through the gate as Kaniko does, against the CNCF
// registry in both ways of authentication and of naming uploads.
func TestDistribution(t *testing.T) {
	for _, flags := range [][]string{{"-relative"}, {"-tokens"}, {"-tokens", "-relative"}, nil} {
		t.Run(strings.Join(flags, ""), func(t *testing.T) {
			t.Parallel()
			d := startDistribution(t, flags...)
			base := d.write(t, "base:1", nil)
			g := d.gate(t, gate.Config{Pull: []string{d.host + "/base:1@" + digestOf(t, base)}})
			pulled := g.pull(t, "base:1")
			if digestOf(t, pulled) != digestOf(t, base) {
				t.Errorf("pulled %s, want %s", digestOf(t, pulled), digestOf(t, base))
			}
			built := withLayer(t, pulled, 3<<20)
			g.mount(t, "base", pulled)
			g.chunked(t)
			g.monolithic(t)
			if err := remote.Write(g.reference(t, "app:k1-0"), built); err != nil {
				t.Fatal(err)
			}
			if want := "pushed " + digestOf(t, built) + "\n"; !strings.Contains(g.log.String(), want) || strings.Contains(g.log.String(), "denied") {
				t.Errorf("the gate says %q, want %q", g.log.String(), want)
			}
			stored, err := remote.Image(d.reference(t, "app:k1-0"), d.login())
			if err != nil || digestOf(t, stored) != digestOf(t, built) {
				t.Errorf("the registry has %v, %v", stored, err)
			}
		})
	}
}

// TestDistributionRefuses builds without the password: the registry's answer
// reaches the client.
func TestDistributionRefuses(t *testing.T) {
	for _, flags := range [][]string{nil, {"-tokens"}} {
		d := startDistribution(t, flags...)
		g := d.gate(t, gate.Config{Pull: []string{d.host + "/base:1"}, DockerConfig: filepath.Join(t.TempDir(), "none")})
		_, err := remote.Image(g.reference(t, "base:1"))
		if err == nil || !strings.Contains(err.Error(), "UNAUTHORIZED") {
			t.Errorf("%v: error %v, want UNAUTHORIZED", flags, err)
		}
	}
}

// distribution is a CNCF registry that runs.
type distribution struct{ host string }

func startDistribution(t *testing.T, flags ...string) distribution {
	t.Helper()
	command := exec.CommandContext(t.Context(), "../bin/distribution", append(flags, "-dir", t.TempDir())...)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = t.Output()
	if err := command.Start(); err != nil {
		t.Fatalf("start the CNCF registry, which make bin/distribution builds: %v", err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	host, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return distribution{strings.TrimSpace(host)}
}

func (d distribution) reference(t *testing.T, image string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(d.host + "/" + image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (d distribution) login() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: "robot", Password: "hunter2"})
}

// write puts an image into the registry, past the gate.
func (d distribution) write(t *testing.T, image string, content v1.Image) v1.Image {
	t.Helper()
	if content == nil {
		made, err := random.Image(1<<20, 2)
		if err != nil {
			t.Fatal(err)
		}
		content = made
	}
	if err := remote.Write(d.reference(t, image), content, d.login()); err != nil {
		t.Fatal(err)
	}
	return content
}

// gateTo is a gate before a registry.
type gateTo struct {
	url, prefix string
	log         *bytes.Buffer
}

// gate starts one that pushes app:k1-0, with the registry's password unless
// config has another.
func (d distribution) gate(t *testing.T, config gate.Config) gateTo {
	t.Helper()
	g := gateTo{log: &bytes.Buffer{}}
	config.Push, config.Insecure, config.Log = d.host+"/app:k1-0", []string{d.host}, g.log
	config.PlainLogin = config.Insecure
	if config.DockerConfig == "" {
		config.DockerConfig = filepath.Join(t.TempDir(), "config.json")
		content := fmt.Sprintf(`{"auths":{%q:{"username":"robot","password":"hunter2"}}}`, d.host)
		if err := os.WriteFile(config.DockerConfig, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	handler, err := gate.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	element, err := names.Element(d.host)
	if err != nil {
		t.Fatal(err)
	}
	g.url, g.prefix = server.URL, element+"/"
	return g
}

func (g gateTo) reference(t *testing.T, image string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(g.url, "http://") + "/" + g.prefix + image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// pull reads all of an image.
func (g gateTo) pull(t *testing.T, image string) v1.Image {
	t.Helper()
	pulled, err := remote.Image(g.reference(t, image))
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layersOf(t, pulled) {
		content, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			t.Fatal(err)
		}
		_ = content.Close()
	}
	return pulled
}

// mount mounts the first layer of an image of another repository.
func (g gateTo) mount(t *testing.T, from string, image v1.Image) {
	t.Helper()
	digest, err := layersOf(t, image)[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	response := g.send(t, http.MethodPost, g.uploads()+"?from="+g.prefix+from+"&mount="+digest.String(), "", "")
	if response.StatusCode != http.StatusCreated {
		t.Errorf("mount: %s", response.Status)
	}
}

// chunked uploads a blob in two pieces.
func (g gateTo) chunked(t *testing.T) {
	t.Helper()
	const first, second = "a blob in ", "two pieces"
	location := g.open(t)
	for _, piece := range []struct{ content, at string }{{first, "0-9"}, {second, "10-19"}} {
		response := g.send(t, http.MethodPatch, location, piece.content, piece.at)
		if response.StatusCode != http.StatusAccepted {
			t.Fatalf("piece %s: %s", piece.at, response.Status)
		}
		location = g.url + response.Header.Get("Location")
	}
	g.finish(t, location, first+second, "")
}

// monolithic uploads a blob with the request that ends it.
func (g gateTo) monolithic(t *testing.T) {
	t.Helper()
	g.finish(t, g.open(t), "a blob in one", "a blob in one")
}

func (g gateTo) uploads() string { return g.url + "/v2/" + g.prefix + "app/blobs/uploads/" }

// open returns the address of a new upload.
func (g gateTo) open(t *testing.T) string {
	t.Helper()
	response := g.send(t, http.MethodPost, g.uploads(), "", "")
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("open an upload: %s", response.Status)
	}
	return g.url + response.Header.Get("Location")
}

// finish ends an upload with its last piece.
func (g gateTo) finish(t *testing.T, location, whole, piece string) {
	t.Helper()
	sum := sha256.Sum256([]byte(whole))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if response := g.send(t, http.MethodPut, location+"?digest="+digest, piece, ""); response.StatusCode != http.StatusCreated {
		t.Errorf("end of an upload: %s", response.Status)
	}
	if response := g.send(t, http.MethodHead, g.url+"/v2/"+g.prefix+"app/blobs/"+digest, "", ""); response.StatusCode != http.StatusOK {
		t.Errorf("the uploaded blob: %s", response.Status)
	}
}

func (g gateTo) send(t *testing.T, method, url, body, at string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	if at != "" {
		request.Header.Set("Content-Range", at)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

func layersOf(t *testing.T, image v1.Image) []v1.Layer {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	return layers
}

func digestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// withLayer returns image with one layer more.
func withLayer(t *testing.T, image v1.Image, size int64) v1.Image {
	t.Helper()
	layer, err := random.Layer(size, "application/vnd.docker.image.rootfs.diff.tar.gzip")
	if err != nil {
		t.Fatal(err)
	}
	extended, err := mutate.AppendLayers(image, layer)
	if err != nil {
		t.Fatal(err)
	}
	return extended
}
