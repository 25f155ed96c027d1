package registry_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kiln/internal/registry"
)

// TestLookupsAtOnce: however many images are asked for, eight at most are under
// way.
func TestLookupsAtOnce(t *testing.T) {
	var now, most atomic.Int32
	h := newHub(t, "", func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for n := now.Add(1); ; {
				if seen := most.Load(); n <= seen || most.CompareAndSwap(seen, n) {
					break
				}
			}
			defer now.Add(-1)
			time.Sleep(5 * time.Millisecond) // so that they meet
			content.ServeHTTP(w, r)
		})
	})
	h.put(t, "app:1", image(t, time.Now(), nil))
	most.Store(0)
	c := newClient(t, registry.ClientConfig{}, h)
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			_, err := c.Resolve(t.Context(), fmt.Sprintf("%s/app:%d", h.host, i))
			if (err == nil) != (i == 1) {
				t.Errorf("app:%d: %v", i, err)
			}
		})
	}
	group.Wait()
	if got := most.Load(); got < 2 || got > 8 {
		t.Errorf("%d look-ups were under way at once, want at most 8 and more than one", got)
	}
}
