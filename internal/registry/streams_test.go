package registry_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"kiln/internal/registry"
)

// TestStreams copies more layers at once than are sent at once: none is asked for before
// there is room to send it, for an answer that nobody reads is broken off.
func TestStreams(t *testing.T) {
	const layers, room = 8, 3
	var open, most, sent atomic.Int32
	full := make(chan struct{})
	far := newHub(t, "pulling", func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				now := open.Add(1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
			}
			content.ServeHTTP(w, r)
		})
	})
	h := newHub(t, "pushing", func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				if sent.Add(1) == room {
					close(full)
				}
				<-full
				defer open.Add(-1)
			}
			content.ServeHTTP(w, r)
		})
	})
	digest := far.put(t, "base:1", layered(t, "a layer"))
	c := newClient(t, registry.ClientConfig{Push: robot("pushing", h.host), Pull: authn.NewMultiKeychain(robot("pulling", far.host))}, h, far)
	of, err := c.Original(t.Context(), far.host+"/base:1", digest)
	if err != nil {
		t.Fatal(err)
	}
	open.Store(0)
	most.Store(0)
	var copies sync.WaitGroup
	for i := range layers {
		copies.Go(func() {
			if _, err := c.Copy(t.Context(), h.host+"/app-"+string(rune('a'+i)), &of, of.Layers[0], nil); err != nil {
				t.Error(err)
			}
		})
	}
	copies.Wait()
	if n := most.Load(); n > room {
		t.Errorf("%d layers were read at once, want %d", n, room)
	}
}
