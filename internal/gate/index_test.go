package gate_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/klauspost/compress/zstd"

	"kiln/internal/gate"
	names "kiln/internal/registry"
	"kiln/internal/treeindex"
	"kiln/internal/treestore"
)

// indexing is a gate that makes indexes, before a registry.
type indexing struct {
	running
	target *upstream
	path   string // of the repository
}

// startIndexing runs one.
func startIndexing(t *testing.T, wrap func(content http.Handler) http.Handler) indexing {
	t.Helper()
	target := newUpstream(t, wrap)
	g := start(t, gate.Config{
		Push:         target.host + "/acme/app:k1-0",
		Index:        true,
		IndexWait:    time.Minute,
		Insecure:     []string{target.host},
		DockerConfig: dockerConfig(t, target.host),
	})
	element, err := names.Element(target.host)
	if err != nil {
		t.Fatal(err)
	}
	return indexing{running: g, target: target, path: "/v2/" + element + "/acme/app"}
}

// store is the indexes of the registry, as kilnd finds them.
func (g indexing) store(t *testing.T) treestore.Store {
	t.Helper()
	client := names.NewClient(names.ClientConfig{
		Push: staticKeychain{}, Insecure: []string{g.target.host}, PlainLogin: names.PlainLogins{g.target.host}, Transport: transport(t),
	})
	return treestore.Store{Registry: client, Repository: g.target.host + "/acme/app"}
}

type staticKeychain struct{}

func (staticKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: user, Password: password}, nil
}

// send sends a request of an upload and returns status and the next address.
func (g indexing) send(t *testing.T, method, path, contentRange string, body io.Reader) (status int, location string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.host+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if contentRange != "" {
		request.Header.Set("Content-Range", contentRange)
	}
	request.Close = true
	response, err := transport(t).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get("Location")
}

// begin opens an upload.
func (g indexing) begin(t *testing.T) string {
	t.Helper()
	status, location := g.send(t, "POST", g.path+"/blobs/uploads/", "", nil)
	if status != http.StatusAccepted {
		t.Fatalf("POST: %d", status)
	}
	return location
}

// patch sends a piece from an offset, and wants to be answered with a status.
func (g indexing) patch(t *testing.T, location string, offset int, piece []byte, want int) {
	t.Helper()
	status, _ := g.send(t, "PATCH", location, fmt.Sprintf("%d-%d", offset, offset+len(piece)-1), bytes.NewReader(piece))
	if status != want {
		t.Fatalf("PATCH from %d: %d, want %d", offset, status, want)
	}
}

// finish ends an upload with its last piece and a digest.
func (g indexing) finish(t *testing.T, location string, piece []byte, digest string) int {
	t.Helper()
	status, _ := g.send(t, "PUT", location+"?digest="+url.QueryEscape(digest), "", bytes.NewReader(piece))
	return status
}

// upload uploads a blob as Kaniko does.
func (g indexing) upload(t *testing.T, blob []byte) {
	t.Helper()
	location := g.begin(t)
	g.patch(t, location, 0, blob, http.StatusAccepted)
	if status := g.finish(t, location, nil, sumOf(blob)); status != http.StatusCreated {
		t.Fatalf("PUT: %d", status)
	}
}

// push pushes the build's manifest, by which indexes are kept, or never will be.
func (g indexing) push(t *testing.T) {
	t.Helper()
	body := imageOf(descriptor("x", ""))
	if status, answer := g.do(t, "PUT", g.path+"/manifests/k1-0", ociType, body); status != http.StatusCreated {
		t.Fatalf("the manifest is answered %d %s", status, answer)
	}
	g.log.await("pushed sha256:")
}

// wantIndex wants the index of a layer to be there and true, or none.
func (g indexing) wantIndex(t *testing.T, layer []byte, want bool) {
	t.Helper()
	found, err := g.store(t).Find(t.Context(), sumOf(layer))
	if !want {
		if err == nil {
			t.Errorf("there is an index: %+v", found)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	gz, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	truth, err := treeindex.Read(sumOf(layer), gz)
	if diff := cmp.Diff(truth, found); err != nil || diff != "" {
		t.Errorf("%v (-truth +found):\n%s", err, diff)
	}
}

func sumOf(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// archive is a tar of files, whose content is their names.
func archive(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, file := range files {
		if err := w.WriteHeader(&tar.Header{Name: file, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(file))}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, file)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed) // the detector makes the usual level slow
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A build's own layers have indexes once its manifest is reported; those of its base,
// which it would mount, are kilnd's.
func TestIndexOfBuild(t *testing.T) {
	bases, target := newUpstream(t, nil), newUpstream(t, nil)
	bases.write(t, "library/base:1")
	push := target.host + "/acme/app:k1-0"
	for _, index := range []bool{true, false} {
		g := start(t, gate.Config{
			Push:         push,
			Pull:         []string{bases.host + "/library/base:1"},
			Index:        index,
			IndexWait:    time.Minute,
			Insecure:     []string{bases.host, target.host},
			DockerConfig: dockerConfig(t, bases.host, target.host),
		})
		client := remote.WithTransport(transport(t))
		base, err := remote.Image(g.reference(t, bases.host+"/library/base:1"), client)
		if err != nil {
			t.Fatal(err)
		}
		built := extend(t, base)
		if err := remote.Write(g.reference(t, push), built, client); err != nil {
			t.Fatal(err)
		}
		g.log.await("pushed ")
		if want := "listening\npushed " + digestOf(t, built) + "\n"; g.log.String() != want {
			t.Errorf("log = %q, want %q", g.log.String(), want)
		}
		layers, err := built.Layers()
		if err != nil {
			t.Fatal(err)
		}
		store := indexing{target: target}.store(t)
		for n, layer := range layers {
			digest, err := layer.Digest()
			if err != nil {
				t.Fatal(err)
			}
			found, err := store.Find(t.Context(), digest.String())
			if own := n == len(layers)-1; (err == nil) != (own && index) || err == nil && len(found.Entries) != 1 {
				t.Errorf("layer %d of %d, indexing %t: %+v, %v", n+1, len(layers), index, found, err)
			}
		}
	}
}

// An index is made of exactly the bytes whose digest the registry has taken, however
// they came.
func TestIndexOfPieces(t *testing.T) {
	layer := zipped(t, archive(t, "etc/passwd", "usr/bin/tool", "z"))
	half := len(layer) / 2
	sum512 := sha512.Sum512(layer)
	for name, tt := range map[string]struct {
		send func(t *testing.T, g indexing, location string) (status int)
		want bool
	}{
		"at once": {func(t *testing.T, g indexing, location string) int {
			g.patch(t, location, 0, layer, http.StatusAccepted)
			return g.finish(t, location, nil, sumOf(layer))
		}, true},
		"in pieces": {func(t *testing.T, g indexing, location string) int {
			g.patch(t, location, 0, layer[:half], http.StatusAccepted)
			g.send(t, "GET", location, "", nil) // how far did it get?
			g.patch(t, location, half, layer[half:], http.StatusAccepted)
			return g.finish(t, location, nil, sumOf(layer))
		}, true},
		"the last piece at the end": {func(t *testing.T, g indexing, location string) int {
			return g.finish(t, location, layer, sumOf(layer))
		}, true},
		"out of order": {func(t *testing.T, g indexing, location string) int {
			g.patch(t, location, half, layer[half:], http.StatusRequestedRangeNotSatisfiable)
			g.patch(t, location, 0, layer, http.StatusAccepted)
			return g.finish(t, location, nil, sumOf(layer))
		}, false},
		"a piece twice": {func(t *testing.T, g indexing, location string) int {
			g.patch(t, location, 0, layer[:half], http.StatusAccepted)
			g.patch(t, location, 0, layer[:half], http.StatusRequestedRangeNotSatisfiable)
			g.patch(t, location, half, layer[half:], http.StatusAccepted)
			return g.finish(t, location, nil, sumOf(layer))
		}, false},
		"another digest": {func(t *testing.T, g indexing, location string) int {
			g.patch(t, location, 0, layer, http.StatusAccepted)
			return g.finish(t, location, nil, someDigest)
		}, false},
		"sha512": {func(t *testing.T, g indexing, location string) int {
			g.patch(t, location, 0, layer, http.StatusAccepted)
			return g.finish(t, location, nil, "sha512:"+hex.EncodeToString(sum512[:]))
		}, false},
		"never ended": {func(t *testing.T, g indexing, location string) int {
			g.patch(t, location, 0, layer, http.StatusAccepted)
			return 0
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := startIndexing(t, nil)
			status := tt.send(t, g, g.begin(t))
			if tt.want && status != http.StatusCreated {
				t.Errorf("the upload ends with %d", status)
			}
			g.push(t)
			g.wantIndex(t, layer, tt.want)
		})
	}
}

// A registry that takes a blob by a digest that is not its own does not have it indexed
// by that, nor by another.
func TestIndexOfLie(t *testing.T) {
	layer := zipped(t, archive(t, "a"))
	g := startIndexing(t, func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && r.URL.Query().Get("digest") == someDigest {
				w.WriteHeader(http.StatusCreated)
				return
			}
			content.ServeHTTP(w, r)
		})
	})
	location := g.begin(t)
	g.patch(t, location, 0, layer, http.StatusAccepted)
	if status := g.finish(t, location, nil, someDigest); status != http.StatusCreated {
		t.Fatalf("PUT: %d", status)
	}
	g.push(t)
	if tags := g.target.requests("kiln-index-v1-"); len(tags) > 0 {
		t.Errorf("the registry was asked %q", tags)
	}
}

// Of a stream that breaks off there is no index; of the same layer, sent again, there is.
func TestIndexOfBrokenStream(t *testing.T) {
	layer := zipped(t, archive(t, "a", strings.Repeat("b/", 50)+"c"))
	g := startIndexing(t, nil)
	location := g.begin(t)
	conn, err := net.Dial("tcp", g.host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", location, len(layer), layer[:len(layer)/2])
	_ = conn.Close()
	g.upload(t, layer)
	g.push(t)
	g.wantIndex(t, layer, true)
	if tags := g.target.requests("PUT /v2/acme/app/manifests/kiln-index"); len(tags) != 1 {
		t.Errorf("the registry was asked %q", tags)
	}
}

// What is hostile, or no layer, is uploaded as ever and has no index; one that is a layer
// and comes later has.
func TestIndexOfHostileLayers(t *testing.T) {
	var zst bytes.Buffer
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = z.Write(archive(t, "a"))
	_ = z.Close()
	many := make([]string, 60_000)
	for i := range many {
		many[i] = fmt.Sprintf("usr/lib/package/directory-%d/file-%d", i/100, i)
	}
	long := make([]string, 2000)
	for i := range long {
		long[i] = strings.Repeat(fmt.Sprintf("%0250d/", i), 16) + "x"
	}
	whole := zipped(t, archive(t, "a", "b"))
	for name, layer := range map[string][]byte{
		"above the root":   zipped(t, archive(t, "a", "../b")),
		"an odd whiteout":  zipped(t, archive(t, ".wh..wh.x")),
		"too many entries": zipped(t, archive(t, many...)),
		"too long names":   zipped(t, archive(t, long...)),
		"zstd":             zst.Bytes(),
		"a configuration":  []byte(`{"architecture":"amd64"}`),
		"cut off":          whole[:len(whole)-20],
		"no gzip":          []byte("\x1f\x8b\x08 and more"),
		"no archive":       zipped(t, bytes.Repeat([]byte("x"), 1<<20)),
		"half an archive":  zipped(t, archive(t, "a", "b")[:512]),
	} {
		t.Run(name, func(t *testing.T) {
			g := startIndexing(t, nil)
			location := g.begin(t)
			g.patch(t, location, 0, layer, http.StatusAccepted)
			if status := g.finish(t, location, nil, sumOf(layer)); status != http.StatusCreated {
				t.Errorf("PUT: %d", status)
			}
			g.upload(t, whole)
			g.push(t)
			g.wantIndex(t, layer, false)
			g.wantIndex(t, whole, true)
			if strings.Contains(g.log.String(), "noindex") {
				t.Errorf("the log is %q", g.log.String())
			}
		})
	}
}

// What is kept for a layer is not put again.
func TestIndexThereAlready(t *testing.T) {
	layer, other := zipped(t, archive(t, "a")), zipped(t, archive(t, "b"))
	g := startIndexing(t, nil)
	g.upload(t, layer)
	g.push(t)
	again := start(t, gate.Config{
		Push: g.target.host + "/acme/app:k1-0", Index: true, IndexWait: time.Minute,
		Insecure: []string{g.target.host}, DockerConfig: dockerConfig(t, g.target.host),
	})
	second := indexing{running: again, target: g.target, path: g.path}
	second.upload(t, layer)
	second.upload(t, other)
	second.push(t)
	if puts := g.target.requests("PUT /v2/acme/app/manifests/kiln-index"); len(puts) != 2 {
		t.Errorf("the registry was asked %q", puts)
	}
	g.wantIndex(t, layer, true)
	g.wantIndex(t, other, true)
}

// A registry that keeps no index, or does not answer, has the image.
func TestIndexRefused(t *testing.T) {
	layer := zipped(t, archive(t, "a"))
	for name, status := range map[string]int{"refused": http.StatusForbidden, "failing": http.StatusInternalServerError, "busy": http.StatusTooManyRequests} {
		t.Run(name, func(t *testing.T) {
			g := startIndexing(t, onTag(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			g.upload(t, layer)
			g.push(t)
			if !strings.Contains(g.log.String(), "noindex "+sumOf(layer)) || strings.Contains(g.log.String(), "# ") {
				t.Errorf("the log is %q", g.log.String())
			}
		})
	}
}

// onTag answers what is asked of the tags of indexes.
func onTag(answer http.HandlerFunc) func(http.Handler) http.Handler {
	return func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/kiln-index") && r.Method == http.MethodPut {
				answer(w, r)
				return
			}
			content.ServeHTTP(w, r)
		})
	}
}

// The report of the image does not wait for ever.
func TestIndexLate(t *testing.T) {
	asked := make(chan struct{}, 1)
	target := newUpstream(t, onTag(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the end of the connection is not seen
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	g := start(t, gate.Config{
		Push: target.host + "/acme/app:k1-0", Index: true, IndexWait: 10 * time.Millisecond,
		Insecure: []string{target.host}, DockerConfig: dockerConfig(t, target.host),
	})
	element, err := names.Element(target.host)
	if err != nil {
		t.Fatal(err)
	}
	late := indexing{running: g, target: target, path: "/v2/" + element + "/acme/app"}
	late.upload(t, zipped(t, archive(t, "a")))
	<-asked
	late.push(t)
}
