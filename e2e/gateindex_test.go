//go:build e2e

package e2e_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// indexDataLimit is [dataLimit] where indexes are made: Go's runtime maps 64 MiB more as
// soon as the heap is in two places.
const indexDataLimit = dataLimit + 64<<20

// TestGateIndexMemory pushes layers of very many files at once, some never to their end,
// through a gate that makes indexes of them, with the memory of a build pod's.
func TestGateIndexMemory(t *testing.T) {
	t.Parallel()
	registry := &indexRegistry{}
	g := startGate(t, registry, "http/1.1", indexDataLimit, "--index")
	for range 20 {
		g.patch(t, strings.NewReader("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), -1)
	}
	for _, files := range [][]int{{30_000}, {30_000, 1000, 1000, 1000}, {100_000, 300_000, 30_000, 20_000}} {
		var group sync.WaitGroup
		for _, n := range files {
			group.Go(func() { g.push(t, n) })
		}
		group.Wait()
	}
	status := g.put(t, g.root+"app/manifests/1", `{"schemaVersion":2,"config":{"mediaType":"x","size":2,"digest":"sha256:`+strings.Repeat("a", 64)+`"},"layers":[]}`)
	if status != http.StatusCreated {
		t.Errorf("the manifest is answered %d", status)
	}
	if n := registry.indexes(); n < 3 { // small ones have room beside what is too large
		t.Errorf("%d indexes were kept", n)
	}
	peak := g.stop(t)
	t.Logf("%d indexes: at most %d MiB resident", registry.indexes(), peak>>20)
	if peak > memoryLimit {
		t.Errorf("the gate used %d bytes", peak)
	}
}

// TestGateIndexPullMemory pulls layers of very many files at once, some never to their
// end, through a gate that looks through them and makes indexes of them, and pushes others
// meanwhile, with the memory of a build pod's.
func TestGateIndexPullMemory(t *testing.T) {
	t.Parallel()
	registry := &indexRegistry{layers: map[string]int{}}
	flags := []string{"--index", `--inspect={"image":"REGISTRY/acme/base:1","paths":["/"]}`}
	pulls := [][]int{{30_000}, {30_500, 1000, 1001, 1002}, {100_000, 300_000, 31_000, 20_000}}
	digests := map[int]string{}
	for _, n := range slices.Concat(pulls...) {
		sum := sha256.New()
		if err := writeLayer(sum, n); err != nil {
			t.Fatal(err)
		}
		digests[n] = "sha256:" + hex.EncodeToString(sum.Sum(nil))
		registry.layers[digests[n]] = n
		flags = append(flags, "--index-pulled="+digests[n])
	}
	g := startGate(t, registry, "http/1.1", indexDataLimit, flags...)
	for n, files := range pulls {
		var group sync.WaitGroup
		for _, n := range files {
			group.Go(func() { g.pull(t, digests[n], 1000) })
			group.Go(func() { g.pull(t, digests[n], math.MaxInt64) })
			group.Go(func() { g.pull(t, digests[n], math.MaxInt64) })
		}
		group.Go(func() { g.push(t, 5000+n) })
		group.Wait()
	}
	g.pull(t, digests[1000], math.MaxInt64) // now it has room, if it had none
	status := g.put(t, g.root+"app/manifests/1", `{"schemaVersion":2,"config":{"mediaType":"x","size":2,"digest":"sha256:`+strings.Repeat("a", 64)+`"},"layers":[]}`)
	if status != http.StatusCreated {
		t.Errorf("the manifest is answered %d", status)
	}
	if n := registry.indexes(); n < 3 {
		t.Errorf("%d indexes were kept", n)
	}
	peak := g.stop(t)
	t.Logf("%d indexes: at most %d MiB resident", registry.indexes(), peak>>20)
	if peak > memoryLimit {
		t.Errorf("the gate used %d bytes", peak)
	}
}

// pull pulls a layer, to its end or so much of it.
func (g *gateProcess) pull(t *testing.T, digest string, most int64) {
	t.Helper()
	response, err := g.client.Get(g.root + "base/blobs/" + digest)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(response.Body, most))
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); n != most && (err != nil || got != digest) {
		t.Errorf("the layer %s comes as %s, %d bytes, %v", digest, got, n, err)
	}
}

// push uploads a layer of so many files.
func (g *gateProcess) push(t *testing.T, files int) {
	t.Helper()
	out, in := io.Pipe()
	sum := sha256.New()
	go func() { in.CloseWithError(writeLayer(io.MultiWriter(in, sum), files)) }()
	location := g.patch(t, out, -1)
	if status := g.put(t, location+"?digest="+url.QueryEscape("sha256:"+hex.EncodeToString(sum.Sum(nil))), ""); status != http.StatusCreated {
		t.Errorf("the end of a layer of %d files is answered %d", files, status)
	}
}

func (g *gateProcess) put(t *testing.T, address, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	response, err := g.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// writeLayer writes a layer of so many files.
func writeLayer(out io.Writer, files int) error {
	gz, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := tar.NewWriter(gz)
	content := strings.Repeat("x", 1000)
	for n := range files {
		name := fmt.Sprintf("usr/lib/node_modules/package-%d/lib/directory-%d/file-%d.js", n/100, n/10, n)
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := io.WriteString(w, content); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), gz.Close())
}

// indexRegistry takes everything, has nothing but layers of so many files by their
// digests, and counts the indexes that it got. It is safe for concurrent use.
type indexRegistry struct {
	layers map[string]int

	mu   sync.Mutex
	kept int
}

// ServeHTTP implements http.Handler.
func (r *indexRegistry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	_, _ = io.Copy(io.Discard, request.Body)
	_, digest, _ := strings.Cut(request.URL.Path, "/blobs/")
	switch path := request.URL.Path; {
	case path == "/v2/":
	case request.Method == http.MethodGet && r.layers[digest] > 0:
		_ = writeLayer(w, r.layers[digest]) // it fails where a pull ends early
	case request.Method == http.MethodGet:
		w.WriteHeader(http.StatusNotFound)
	case request.Method == http.MethodPost:
		w.Header().Set("Location", path+"1")
		w.WriteHeader(http.StatusAccepted)
	case request.Method == http.MethodPatch:
		w.WriteHeader(http.StatusAccepted)
	default:
		if strings.Contains(path, "/manifests/kiln-index-") {
			r.mu.Lock()
			r.kept++
			r.mu.Unlock()
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// indexes is how many it got.
func (r *indexRegistry) indexes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept
}
