package registry_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln/internal/registry"
)

// layered is an image with one layer.
func layered(t *testing.T, content string) v1.Image {
	t.Helper()
	made, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte(content), types.OCIUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// emptied is a registry whose repository "app" has no blob until one is sent there, or has
// all of them, and that answers to a mount by mount.
func emptied(has bool, mount func(w http.ResponseWriter) bool) func(http.Handler) http.Handler {
	return func(content http.Handler) http.Handler {
		var sent atomic.Bool // a request that broke off may be served beside the next
		sent.Store(has)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Query().Has("mount") && mount(w):
				return
			case r.Method == http.MethodHead && strings.HasPrefix(r.URL.Path, "/v2/app/blobs/") && !sent.Load():
				w.WriteHeader(http.StatusNotFound)
				return
			case r.Method == http.MethodPut:
				sent.Store(true)
			}
			r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery, "from=base&") // this registry knows no mounts
			if r.URL.Query().Has("mount") {
				r.URL.RawQuery = ""
			}
			content.ServeHTTP(w, r)
		})
	}
}

func status(code int) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool { w.WriteHeader(code); return true }
}

// kinds are requests without what names content.
func kinds(requests []string) []string {
	var all []string
	for _, r := range requests {
		method, path, _ := strings.Cut(r, " ")
		parts := strings.Split(path, "/")
		all = append(all, method+" "+parts[2])
	}
	return all
}

// TestCopy has a layer come to a repository in every way.
func TestCopy(t *testing.T) {
	const content = "a layer"
	through := []string{"POST app", "GET base", "PUT app"}
	for name, tt := range map[string]struct {
		mount  func(http.ResponseWriter) bool
		from   string // the repository, in another registry after a slash; + where the other has it
		asked  []string
		stream bool
	}{
		"of the same repository":     {status(500), "app", nil, false},
		"mounted":                    {status(201), "base", []string{"POST app"}, false},
		"the mount is an upload":     {func(http.ResponseWriter) bool { return false }, "base", slices.Insert(slices.Clone(through), 1, "HEAD app"), true},
		"… of what is there":         {func(http.ResponseWriter) bool { return false }, "base+", []string{"POST app", "HEAD app", "DELETE app"}, false},
		"the mount is refused":       {status(405), "base", slices.Concat([]string{"POST app", "HEAD app"}, through), true},
		"the mount is denied":        {status(403), "base", slices.Concat([]string{"POST app", "HEAD app"}, through), true},
		"the registry is out of it":  {status(503), "base", slices.Concat([]string{"POST app", "POST app", "POST app", "HEAD app"}, through), true},
		"of another registry":        {status(500), "/base", []string{"HEAD app", "POST app", "PUT app"}, true},
		"of another registry, there": {status(500), "/there", []string{"HEAD app"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			from, has := strings.CutSuffix(tt.from, "+")
			h, far := newHub(t, "pushing", emptied(has, tt.mount)), newHub(t, "pulling", nil)
			if from == "/there" {
				h = newHub(t, "pushing", nil)
			}
			if has || from == "/there" {
				h.put(t, "app:k1-0", layered(t, content))
			}
			at, source := h, from
			if other, cut := strings.CutPrefix(from, "/"); cut {
				at, source = far, other
			}
			digest := at.put(t, source+":1", layered(t, content))
			c := newClient(t, registry.ClientConfig{Push: robot("pushing", h.host), Pull: authn.NewMultiKeychain(robot("pushing", h.host), robot("pulling", far.host))}, h, far)
			var of registry.Original
			var err error
			if source == "app" {
				of, err = c.Pushed(t.Context(), h.host+"/app@"+digest, false)
			} else {
				of, err = c.Original(t.Context(), at.host+"/"+source+":1", digest)
			}
			if err != nil {
				t.Fatal(err)
			}
			h.requests()
			var seen bytes.Buffer
			streamed, err := c.Copy(t.Context(), h.host+"/app", &of, of.Layers[0], func() io.Writer { return &seen })
			if err != nil || streamed != tt.stream {
				t.Fatalf("streamed %t, %v, want %t", streamed, err, tt.stream)
			}
			if diff := cmp.Diff(tt.asked, kinds(h.requests())); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if tt.stream && seen.String() != content {
				t.Errorf("%q was watched, want the layer", seen.String())
			}
			if far.got("pushing") || h.got("pulling") {
				t.Error("a login went to another registry")
			}
		})
	}
}

// TestCopyHostile: a layer that is not what its image says comes to nobody.
func TestCopyHostile(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		says string
	}{
		"another content": {"b layer", "another digest"},
		"longer":          {"a layer and more", "larger than its image says"},
		"shorter":         {"a", "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			far := newHub(t, "", func(content http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/blobs/"+registry.DigestOf([]byte("a layer"))) {
						_, _ = io.WriteString(w, tt.body)
						return
					}
					content.ServeHTTP(w, r)
				})
			})
			h := newHub(t, "", emptied(false, status(405)))
			digest := far.put(t, "base:1", layered(t, "a layer"))
			c := newClient(t, registry.ClientConfig{}, h, far)
			of, err := c.Original(t.Context(), far.host+"/base:1", digest)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Copy(t.Context(), h.host+"/app", &of, of.Layers[0], nil); err == nil {
				t.Error("the layer was copied")
			}
			content, err := c.Open(t.Context(), &of, of.Layers[0])
			if err != nil {
				t.Fatal(err)
			}
			defer content.Close()
			if _, err := io.ReadAll(content); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the error is %v, want %q", err, tt.says)
			}
		})
	}
}

// TestCopyAgain: a stream that breaks off on either side is begun again, a bounded number
// of times, and what watches is told so.
func TestCopyAgain(t *testing.T) {
	const content = "a layer that is long enough to be cut in two"
	for name, tt := range map[string]struct {
		far, near int // how often the registry it is read from, and the other, fail
		passes    int
		copied    bool
	}{
		"neither fails":             {0, 0, 1, true},
		"it breaks off once":        {1, 0, 2, true},
		"it is not taken once":      {0, 1, 2, true},
		"it breaks off every time":  {99, 0, 3, false},
		"it is not taken each time": {0, 99, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			breaks, refuses := atomic.Int64{}, atomic.Int64{}
			breaks.Store(int64(tt.far))
			refuses.Store(int64(tt.near))
			far := newHub(t, "", func(inner http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+registry.DigestOf([]byte(content))) && breaks.Add(-1) >= 0 {
						w.Header().Set("Content-Length", strconv.Itoa(len(content)))
						_, _ = io.WriteString(w, content[:10])
						_ = http.NewResponseController(w).Flush()
						panic(http.ErrAbortHandler)
					}
					inner.ServeHTTP(w, r)
				})
			})
			h := newHub(t, "", func(inner http.Handler) http.Handler {
				return emptied(false, status(405))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPut && refuses.Add(-1) >= 0 {
						w.WriteHeader(http.StatusServiceUnavailable)
						return
					}
					inner.ServeHTTP(w, r)
				}))
			})
			digest := far.put(t, "base:1", layered(t, content))
			c := newClient(t, registry.ClientConfig{}, h, far)
			of, err := c.Original(t.Context(), far.host+"/base:1", digest)
			if err != nil {
				t.Fatal(err)
			}
			var passed []*bytes.Buffer
			streamed, err := c.Copy(t.Context(), h.host+"/app", &of, of.Layers[0], func() io.Writer {
				passed = append(passed, &bytes.Buffer{})
				return passed[len(passed)-1]
			})
			if streamed != tt.copied || (err == nil) != tt.copied {
				t.Errorf("streamed %t, %v", streamed, err)
			}
			if len(passed) != tt.passes {
				t.Fatalf("it was passed %d times, want %d", len(passed), tt.passes)
			}
			if last := passed[len(passed)-1].String(); tt.copied && last != content {
				t.Errorf("the last time %q was watched", last)
			}
		})
	}
}

// TestUpload sends a blob, again where the registry fails once, and a manifest.
func TestUpload(t *testing.T) {
	content := []byte("a layer")
	blob := registry.Blob{Digest: registry.DigestOf(content), Size: int64(len(content))}
	fails := 1
	h := newHub(t, "pushing", func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && fails > 0 {
				fails--
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			inner.ServeHTTP(w, r)
		})
	})
	c := newClient(t, registry.ClientConfig{Push: robot("pushing", h.host)}, h)
	opened := 0
	err := c.Upload(t.Context(), h.host+"/app", blob, func() (io.ReadCloser, error) {
		opened++
		return io.NopCloser(bytes.NewReader(content)), nil
	})
	if err != nil || opened != 2 {
		t.Errorf("the blob was opened %d times, %v, want twice", opened, err)
	}
	made := layered(t, "a layer")
	config, err := made.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	blob = registry.Blob{Digest: registry.DigestOf(config), Size: int64(len(config))}
	if err := c.Upload(t.Context(), h.host+"/app", blob, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(config)), nil }); err != nil {
		t.Fatal(err)
	}
	manifest, err := made.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.PutManifest(t.Context(), h.host+"/app:k1-0", string(types.OCIManifestSchema1), manifest); err != nil {
		t.Fatal(err)
	}
	got, err := c.Pushed(t.Context(), h.host+"/app:k1-0", true)
	if err != nil || !bytes.Equal(got.Manifest, manifest) || !bytes.Equal(got.Config, config) || got.Layers[0].Digest != registry.DigestOf(content) {
		t.Errorf("the registry has %+v, %v", got, err)
	}
}

// TestPutManifestRefused tells a tag that must not change from other refusals.
func TestPutManifestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		code int
		body string
		kept bool
	}{
		"immutable": {400, `{"errors":[{"code":"TAG_INVALID","message":"the tag already exists"}]}`, true},
		"denied":    {403, `{"errors":[{"code":"DENIED","message":"no"}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, "", func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(tt.code)
					_, _ = io.WriteString(w, tt.body)
				})
			})
			err := newClient(t, registry.ClientConfig{}, h).PutManifest(t.Context(), h.host+"/app:k1-0", "application/x", []byte("{}"))
			if _, kept := errors.AsType[*registry.KeptError](err); err == nil || kept != tt.kept {
				t.Errorf("kept %t, %v, want %t", kept, err, tt.kept)
			}
			if asked := h.requests(); len(asked) != 1 {
				t.Errorf("requests %q, want one", asked)
			}
		})
	}
}

// TestOriginalRefuses: an index, an image of foreign layers, layers without a size.
func TestOriginalRefuses(t *testing.T) {
	for name, manifest := range map[string]string{
		"an index":         `{"manifests":[{"digest":"sha256:0"}]}`,
		"a foreign layer":  `{"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}]}`,
		"a negative size":  `{"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":-1,"digest":"` + registry.DigestOf(nil) + `"}]}`,
		"no digest":        `{"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":1,"digest":"x"}]}`,
		"no configuration": `{"layers":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t, manifest, "{}")
			_, err := newClient(t, registry.ClientConfig{}, h).Original(t.Context(), h.host+"/base:1", registry.DigestOf([]byte(manifest)))
			if kind := kindOf(t, err); kind != registry.Malformed && kind != registry.Unfit {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestStartOf reads how an image starts.
func TestStartOf(t *testing.T) {
	got, err := registry.StartOf([]byte(`{"config":{"User":"app","Entrypoint":["/a"],"Cmd":["b"],"Env":["A=1","GOMEMLIMIT=2G"]}}`))
	want := registry.Start{User: "app", Command: true, Entrypoint: []string{"/a"}, Cmd: []string{"b"}, GoMemory: "2G"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
