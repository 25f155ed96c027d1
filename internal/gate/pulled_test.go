package gate_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/internal/gate"
	names "kiln/internal/registry"
)

// pulling is a gate that makes indexes of layers that are pulled.
type pulling struct {
	indexing
	base string // the path of the repository with them
}

// startPulling runs one whose base image has some blobs, of which an index is wanted.
func startPulling(t *testing.T, wrap func(content http.Handler) http.Handler, change func(*gate.Config), wanted ...[]byte) pulling {
	t.Helper()
	target := newUpstream(t, wrap)
	config := gate.Config{
		Push:         target.host + "/acme/app:k1-0",
		Pull:         []string{target.host + "/acme/base:1"},
		Index:        true,
		IndexWait:    time.Minute,
		Insecure:     []string{target.host},
		DockerConfig: dockerConfig(t, target.host),
	}
	for _, blob := range wanted {
		config.IndexPulled = append(config.IndexPulled, sumOf(blob))
		target.put(t, blob)
	}
	if change != nil {
		change(&config)
	}
	g := start(t, config)
	element, err := names.Element(target.host)
	if err != nil {
		t.Fatal(err)
	}
	return pulling{
		indexing{running: g, target: target, path: "/v2/" + element + "/acme/app"},
		"/v2/" + element + "/acme/base",
	}
}

// put puts a blob into the registry without asking for a password.
func (u *upstream) put(t *testing.T, blob []byte) {
	t.Helper()
	said := httptest.NewRecorder()
	u.content.ServeHTTP(said, httptest.NewRequest("POST", "/v2/acme/base/blobs/uploads/?digest="+sumOf(blob), bytes.NewReader(blob)))
	if said.Code != http.StatusCreated {
		t.Fatalf("put a blob: %d %s", said.Code, said.Body)
	}
}

// pull pulls a blob and returns what came and why no more did.
func (g pulling) pull(t *testing.T, method, digest, byteRange string) (int, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.host+g.base+"/blobs/"+digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if byteRange != "" {
		request.Header.Set("Range", byteRange)
	}
	request.Close = true
	response, err := transport(t).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// pullWhole pulls a blob, which has to come unaltered.
func (g pulling) pullWhole(t *testing.T, blob []byte) {
	t.Helper()
	if status, got, err := g.pull(t, "GET", sumOf(blob), ""); status != http.StatusOK || err != nil || !bytes.Equal(got, blob) {
		t.Errorf("the layer comes as %d, %d bytes of %d, %v", status, len(got), len(blob), err)
	}
}

// stall begins to pull a blob and reads a little of it, until the pull is left.
func (g pulling) stall(t *testing.T, digest string) (leave func()) {
	t.Helper()
	conn, err := net.Dial("tcp", g.host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s/blobs/%s HTTP/1.1\r\nHost: x\r\n\r\n", g.base, digest)
	if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	return func() { _ = conn.Close() }
}

// onBlob answers GETs of the base image's blobs.
func onBlob(answer func(w http.ResponseWriter, r *http.Request, content http.Handler)) func(http.Handler) http.Handler {
	return func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/acme/base/blobs/") {
				answer(w, r, content)
				return
			}
			content.ServeHTTP(w, r)
		})
	}
}

// bigLayer is a layer of 16 MiB, which no socket holds.
func bigLayer(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: "big", Typeflag: tar.TypeReg, Mode: 0o644, Size: 16 << 20}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, rand.NewChaCha8([32]byte{1}), 16<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Of a layer that is wanted and passes to its end there is one index, however often it is
// pulled; of others, and of parts, there is none.
func TestIndexOfPull(t *testing.T) {
	layer, other := zipped(t, archive(t, "etc/passwd", "usr/bin/tool")), zipped(t, archive(t, "x"))
	for name, tt := range map[string]struct {
		pull func(t *testing.T, g pulling)
		puts int
	}{
		"whole":    {func(t *testing.T, g pulling) { g.pullWhole(t, layer) }, 1},
		"nothing":  {func(*testing.T, pulling) {}, 0},
		"again":    {func(t *testing.T, g pulling) { g.pullWhole(t, layer); g.pullWhole(t, layer) }, 1},
		"another":  {func(t *testing.T, g pulling) { g.target.put(t, other); g.pullWhole(t, other) }, 0},
		"its size": {func(t *testing.T, g pulling) { _, _, _ = g.pull(t, "HEAD", sumOf(layer), "") }, 0},
		"a range":  {func(t *testing.T, g pulling) { _, _, _ = g.pull(t, "GET", sumOf(layer), "bytes=0-9") }, 0},
		"parts that make it": {func(t *testing.T, g pulling) {
			_, _, _ = g.pull(t, "GET", sumOf(layer), "bytes=0-9")
			_, _, _ = g.pull(t, "GET", sumOf(layer), "bytes=10-")
		}, 0},
		"at once": {func(t *testing.T, g pulling) {
			var group sync.WaitGroup
			for range 5 {
				group.Go(func() { g.pullWhole(t, layer) })
			}
			group.Wait()
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := startPulling(t, onBlob(ranges), nil, layer)
			tt.pull(t, g)
			g.push(t)
			g.wantIndex(t, layer, tt.puts > 0)
			if puts := g.target.requests("PUT /v2/acme/app/manifests/kiln-index"); len(puts) != tt.puts {
				t.Errorf("the registry was asked %q", puts)
			}
		})
	}
}

// ranges answers a part with a part.
func ranges(w http.ResponseWriter, r *http.Request, content http.Handler) {
	whole := httptest.NewRecorder()
	content.ServeHTTP(whole, r)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(whole.Body.Bytes()))
}

// A layer that does not pass to its end, or is not what it was asked for as, has no index,
// and one where it does the next time.
func TestIndexOfBrokenPull(t *testing.T) {
	layer := zipped(t, bigLayer(t))
	other := zipped(t, archive(t, "x"))
	var broken func(w http.ResponseWriter, r *http.Request, content http.Handler)
	half := func(w http.ResponseWriter, length int) {
		w.Header().Set("Content-Length", strconv.Itoa(length))
		_, _ = w.Write(layer[:len(layer)/2])
	}
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, content http.Handler)
		pull   func(t *testing.T, g pulling)
	}{
		"the client ends": {nil, func(t *testing.T, g pulling) { g.stall(t, sumOf(layer))() }},
		"the registry ends": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { half(w, len(layer)) }, func(t *testing.T, g pulling) {
			if _, got, err := g.pull(t, "GET", sumOf(layer), ""); err == nil {
				t.Errorf("%d bytes came, and no error", len(got))
			}
		}},
		"half for the whole": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { half(w, len(layer)/2) }, func(t *testing.T, g pulling) {
			_, _, _ = g.pull(t, "GET", sumOf(layer), "")
		}},
		"other content": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = w.Write(other) }, func(t *testing.T, g pulling) {
			_, _, _ = g.pull(t, "GET", sumOf(layer), "")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var once sync.Once
			broken = tt.answer
			g := startPulling(t, onBlob(func(w http.ResponseWriter, r *http.Request, content http.Handler) {
				answer := content.ServeHTTP
				once.Do(func() {
					if broken != nil {
						answer = func(w http.ResponseWriter, r *http.Request) { broken(w, r, content) }
					}
				})
				answer(w, r)
			}), nil, layer)
			tt.pull(t, g)
			time.Sleep(10 * time.Millisecond)
			if tags := g.target.requests("PUT /v2/acme/app/manifests/kiln-index"); len(tags) > 0 {
				t.Errorf("the registry was asked %q", tags)
			}
			g.wantIndexSoon(t, layer)
			g.push(t)
			g.wantIndex(t, layer, true)
		})
	}
}

// wantIndexSoon pulls a layer until an index of it is made: the gate may see late that a
// client has ended.
func (g pulling) wantIndexSoon(t *testing.T, layer []byte) {
	t.Helper()
	for range 100 {
		g.pullWhole(t, layer)
		if len(g.target.requests("PUT /v2/acme/app/manifests/kiln-index")) > 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("no index is made any more")
}

// Pulls that are not read do not hold up another one, whose index is made once they are over.
func TestIndexOfPullBesideStalled(t *testing.T) {
	big, layer := bigLayer(t), zipped(t, archive(t, "a"))
	bigger := append(bytes.Clone(big), make([]byte, 512)...)
	g := startPulling(t, nil, nil, big, bigger, layer)
	leave, leaveToo := g.stall(t, sumOf(big)), g.stall(t, sumOf(bigger))
	g.pullWhole(t, layer)
	leave()
	leaveToo()
	g.wantIndexSoon(t, layer)
	g.push(t)
	g.wantIndex(t, layer, true)
}

// A layer that a redirect leads to, and one that is looked through, has an index.
func TestIndexOfPullElsewhere(t *testing.T) {
	layer := zipped(t, archive(t, "bin/sh"))
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(layer) }))
	defer store.Close()
	redirects := onBlob(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, store.URL+"/layer", http.StatusTemporaryRedirect)
	})
	g := startPulling(t, redirects, func(c *gate.Config) {
		c.Inspect = []gate.Inspection{{Image: c.Pull[0], Paths: []string{"/"}}}
		c.Insecure = append(c.Insecure, strings.TrimPrefix(store.URL, "http://"))
	}, layer)
	g.pullWhole(t, layer)
	g.push(t)
	g.wantIndex(t, layer, true)
}

// A layer that is looked through to its end while the pull that was to make its index stands
// still has one by a later pull.
func TestIndexOfPullInspectedBefore(t *testing.T) {
	layer := zipped(t, bigLayer(t))
	g := startPulling(t, nil, func(c *gate.Config) {
		c.Inspect = []gate.Inspection{{Image: c.Pull[0], Paths: []string{"/"}}}
	}, layer)
	leave := g.stall(t, sumOf(layer))
	g.pullWhole(t, layer)
	leave()
	g.wantIndexSoon(t, layer)
	g.push(t)
	g.wantIndex(t, layer, true)
}

// A layer that is cut off because it is unfit has no index.
func TestIndexOfUnfitPull(t *testing.T) {
	layer := zipped(t, archive(t, "a", ".wh.b"))
	g := startPulling(t, nil, func(c *gate.Config) {
		c.Inspect = []gate.Inspection{{Image: c.Pull[0], Paths: []string{"/"}, Whiteouts: true}}
	}, layer)
	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+g.host+g.base+"/blobs/"+sumOf(layer), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := transport(t).RoundTrip(request); err == nil {
		_ = response.Body.Close()
	}
	g.log.await("unfit ")
	if tags := g.target.requests("PUT /v2/acme/app/manifests/kiln-index"); len(tags) > 0 {
		t.Errorf("the registry was asked %q", tags)
	}
}

// What is kept for a layer is not made again.
func TestIndexOfPullThereAlready(t *testing.T) {
	layer := zipped(t, archive(t, "a"))
	g := startPulling(t, nil, nil, layer)
	g.pullWhole(t, layer)
	g.push(t)
	again := start(t, gate.Config{
		Push: g.target.host + "/acme/app:k1-0", Pull: []string{g.target.host + "/acme/base:1"}, Index: true, IndexPulled: []string{sumOf(layer)},
		IndexWait: time.Minute, Insecure: []string{g.target.host}, DockerConfig: dockerConfig(t, g.target.host),
	})
	second := pulling{indexing{running: again, target: g.target, path: g.path}, g.base}
	second.pullWhole(t, layer)
	second.push(t)
	if puts := g.target.requests("PUT /v2/acme/app/manifests/kiln-index"); len(puts) != 1 {
		t.Errorf("the registry was asked %q", puts)
	}
}

// What is hostile is pulled as ever and has no index; one that is a layer has.
func TestIndexOfHostilePulls(t *testing.T) {
	many := make([]string, 60_000)
	for i := range many {
		many[i] = fmt.Sprintf("usr/lib/package/directory-%d/file-%d", i/100, i)
	}
	whole := zipped(t, archive(t, "a", "b"))
	for name, layer := range map[string][]byte{
		"above the root":   zipped(t, archive(t, "a", "../b")),
		"too many entries": zipped(t, archive(t, many...)),
		"cut off":          whole[:len(whole)-20],
		"no gzip":          []byte("\x1f\x8b\x08 and more"),
	} {
		t.Run(name, func(t *testing.T) {
			g := startPulling(t, nil, nil, layer, whole)
			g.pullWhole(t, layer)
			g.pullWhole(t, whole)
			g.push(t)
			g.wantIndex(t, whole, true)
			if puts := g.target.requests("PUT /v2/acme/app/manifests/kiln-index"); len(puts) != 1 {
				t.Errorf("the registry was asked %q", puts)
			}
		})
	}
}

// A registry that keeps no index, or never says whether it has one, has no part in a pull.
func TestIndexOfPullRefused(t *testing.T) {
	layer := zipped(t, archive(t, "a"))
	g := startPulling(t, func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/kiln-index") {
				_, _ = io.Copy(io.Discard, r.Body) // else the end of the connection is not seen
				<-r.Context().Done()
				return
			}
			content.ServeHTTP(w, r)
		})
	}, func(c *gate.Config) { c.IndexWait = 10 * time.Millisecond }, layer)
	g.pullWhole(t, layer)
	g.pullWhole(t, layer)
	g.push(t)
}
