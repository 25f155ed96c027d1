package registry_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/registry"
)

// kindOf returns the kind of a look-up's error, "" if there is none.
func kindOf(t *testing.T, err error) registry.Kind {
	t.Helper()
	if err == nil {
		return ""
	}
	failed, ok := errors.AsType[*registry.LookupError](err)
	if !ok {
		t.Fatalf("error %v is no LookupError", err)
	}
	if text := err.Error(); strings.ContainsAny(text, "\n\r\x1b") || len(text) > 1200 {
		t.Errorf("error %q is not one short line", text)
	}
	return failed.Kind
}

func TestResolveRemembers(t *testing.T) {
	h := newHub(t, "", nil)
	first := h.put(t, "base:1", image(t, time.Unix(1, 0), nil))
	now := time.Now()
	c := newClient(t, registry.ClientConfig{Remember: time.Minute, Now: func() time.Time { return now }}, h)
	resolve := func() string {
		digest, err := c.Resolve(t.Context(), h.host+"/base:1")
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	if got := resolve(); got != first {
		t.Errorf("digest = %s, want %s", got, first)
	}
	if diff := cmp.Diff([]string{"HEAD /v2/base/manifests/1"}, h.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	second := h.put(t, "base:1", image(t, time.Unix(2, 0), nil))
	now = now.Add(59 * time.Second)
	if got := resolve(); got != first || len(h.requests()) != 0 {
		t.Errorf("within a minute the digest = %s, want the first one without a request", got)
	}
	now = now.Add(time.Second)
	if got := resolve(); got != second {
		t.Errorf("after a minute the digest = %s, want %s", got, second)
	}
}

func TestResolveWithDigestAsksNobody(t *testing.T) {
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	c := newClient(t, registry.ClientConfig{Transport: http.NewFileTransport(http.Dir(t.TempDir()))})
	got, err := c.Resolve(t.Context(), "alpine:3@"+digest)
	if err != nil || got != digest {
		t.Errorf("Resolve = %s, %v", got, err)
	}
}

// Callers that ask at once share one look-up.
func TestResolveOnce(t *testing.T) {
	const callers = 20
	release := make(chan struct{})
	h := newHub(t, "", func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			content.ServeHTTP(w, r)
		})
	})
	want := h.put(t, "base:1", image(t, time.Now(), nil))
	c := newClient(t, registry.ClientConfig{}, h)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			if got, err := c.Resolve(t.Context(), h.host+"/base:1"); err != nil || got != want {
				t.Errorf("Resolve = %s, %v", got, err)
			}
		})
	}
	close(release)
	group.Wait()
	if asked := h.requests(); len(asked) != 1 {
		t.Errorf("%d callers made %d requests: %q", callers, len(asked), asked)
	}
}

// A registry's HEAD may leave the digest out, or not be there.
func TestResolveFallsBackToGet(t *testing.T) {
	for name, head := range map[string]http.HandlerFunc{
		"no digest":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"not a digest":     func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Docker-Content-Digest", "latest") },
		"method forbidden": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, "", func(content http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodHead {
						head(w, r)
						return
					}
					content.ServeHTTP(w, r)
				})
			})
			want := h.put(t, "base:1", image(t, time.Now(), nil))
			got, err := newClient(t, registry.ClientConfig{}, h).Resolve(t.Context(), h.host+"/base:1")
			if err != nil || got != want {
				t.Errorf("Resolve = %s, %v, want %s", got, err, want)
			}
		})
	}
}

// failing answers the first requests with the given statuses.
func failing(statuses ...int) func(http.Handler) http.Handler {
	var count atomic.Int32
	return func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n := int(count.Add(1)); n <= len(statuses) {
				http.Error(w, "no\n\x1b[31m"+strings.Repeat("x", 5000), statuses[n-1])
				return
			}
			content.ServeHTTP(w, r)
		})
	}
}

func TestResolveFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		statuses []int
		tag      string
		want     registry.Kind
		requests int
	}{
		"busy, then well":      {[]int{429}, "1", "", 2},
		"down twice":           {[]int{503, 502}, "1", "", 3},
		"down":                 {[]int{500, 500, 500, 500}, "1", registry.Unreachable, 3},
		"busy":                 {[]int{429, 429, 429, 429}, "1", registry.Unreachable, 3},
		"missing":              {nil, "2", registry.NotFound, 1},
		"denied":               {[]int{403}, "1", registry.Denied, 1},
		"what is this":         {[]int{400}, "1", registry.Malformed, 1},
		"not found is no wait": {[]int{404}, "1", registry.NotFound, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, "", failing(tc.statuses...))
			h.put(t, "base:1", image(t, time.Now(), nil))
			c := newClient(t, registry.ClientConfig{}, h)
			_, err := c.Resolve(t.Context(), h.host+"/base:"+tc.tag)
			if got := kindOf(t, err); got != tc.want {
				t.Errorf("error %v is %q, want %q", err, got, tc.want)
			}
			if asked := h.requests(); len(asked) != tc.requests {
				t.Errorf("%d requests, want %d: %q", len(asked), tc.requests, asked)
			}
		})
	}
}

// Errors are not remembered.
func TestResolveAfterFailure(t *testing.T) {
	h := newHub(t, "", failing(404))
	want := h.put(t, "base:1", image(t, time.Now(), nil))
	c := newClient(t, registry.ClientConfig{}, h)
	if _, err := c.Resolve(t.Context(), h.host+"/base:1"); kindOf(t, err) != registry.NotFound {
		t.Fatalf("error = %v, want not found", err)
	}
	if got, err := c.Resolve(t.Context(), h.host+"/base:1"); err != nil || got != want {
		t.Errorf("Resolve = %s, %v", got, err)
	}
}

func TestResolveMalformedReference(t *testing.T) {
	c := newClient(t, registry.ClientConfig{})
	for _, reference := range []string{"", "UPPER/case", "a b", "x@sha256:12", "x:" + strings.Repeat("t", 200)} {
		if _, err := c.Resolve(t.Context(), reference); kindOf(t, err) != registry.Malformed {
			t.Errorf("Resolve(%q): error %v, want malformed", reference, err)
		}
	}
}

func TestResolveNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	host := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	_, err := newClient(t, registry.ClientConfig{Insecure: []string{host}}).Resolve(t.Context(), host+"/base:1")
	if kindOf(t, err) != registry.Unreachable {
		t.Errorf("error = %v, want unreachable", err)
	}
}

// A certificate that nobody vouches for is told with what to do about it, and
// once; with its authority the registry is spoken to by TLS.
func TestResolveTLS(t *testing.T) {
	var asked atomic.Int32
	digest := registry.DigestOf([]byte("x"))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Docker-Content-Digest", digest)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			asked.Add(1)
		}
	}
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	// A name, because the library speaks to addresses like localhost in a way
	// of their own.
	dial := func(transport *http.Transport) *http.Transport {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		}
		t.Cleanup(transport.CloseIdleConnections)
		return transport
	}
	c := newClient(t, registry.ClientConfig{Transport: dial(registry.NewTransport(registry.TransportConfig{}))})
	_, err := c.Resolve(t.Context(), "example.com/base:1")
	if kindOf(t, err) != registry.Unreachable || !strings.Contains(err.Error(), "KILN_CA_FILE") || asked.Load() != 1 {
		t.Errorf("after %d connections: %v", asked.Load(), err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c = newClient(t, registry.ClientConfig{Transport: dial(registry.NewTransport(registry.TransportConfig{Roots: roots}))})
	if got, err := c.Resolve(t.Context(), "example.com/base:1"); err != nil || got != digest {
		t.Errorf("Resolve = %s, %v", got, err)
	}
}

// slow holds every request until the client is gone, and says so.
func slow(t *testing.T) (h *hub, asked, gone chan struct{}) {
	t.Helper()
	asked, gone = make(chan struct{}, 100), make(chan struct{}, 100)
	h = newHub(t, "", func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		})
	})
	return h, asked, gone
}

func TestResolveGivesUpOnSlowRegistry(t *testing.T) {
	h, _, _ := slow(t) // its end waits until the requests have ended
	c := registry.Hasten(newClient(t, registry.ClientConfig{}, h), 300*time.Millisecond, time.Millisecond)
	_, err := c.Resolve(t.Context(), h.host+"/base:1")
	if kindOf(t, err) != registry.Unreachable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want unreachable for a deadline", err)
	}
}

// A registry that takes connections and never answers costs one look-up's time,
// however long an attempt may take and however many there are.
func TestResolveGivesUpOnSilentRegistry(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // nobody accepts: the kernel connects all the same
	host := listener.Addr().String()
	c := newClient(t, registry.ClientConfig{Insecure: []string{host}})
	c = registry.Limit(registry.Hasten(c, time.Hour, time.Millisecond, time.Hour), 300*time.Millisecond)
	if _, err = c.Resolve(t.Context(), host+"/base:1"); kindOf(t, err) != registry.Unreachable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want unreachable for a deadline", err)
	}
}

// A look-up goes on while somebody waits for it, whoever began it, and ends
// with the last one.
func TestResolveIsShared(t *testing.T) {
	h, asked, gone := slow(t)
	c := registry.Hasten(newClient(t, registry.ClientConfig{}, h), time.Minute)
	results := make([]chan error, 2)
	cancels := make([]context.CancelFunc, 2)
	for i := range results {
		results[i] = make(chan error, 1)
		var ctx context.Context
		ctx, cancels[i] = context.WithCancel(t.Context())
		defer cancels[i]()
		go func() {
			_, err := c.Resolve(ctx, h.host+"/base:1")
			results[i] <- err
		}()
		if i == 0 {
			<-asked
		}
	}
	cancels[0]()
	if err := <-results[0]; !errors.Is(err, context.Canceled) {
		t.Errorf("the first caller got %v", err)
	}
	cancels[1]()
	if err := <-results[1]; !errors.Is(err, context.Canceled) {
		t.Errorf("the second caller got %v", err)
	}
	<-gone
}

func TestResolveMirrors(t *testing.T) {
	origin, mirror := newHub(t, "", nil), newHub(t, "", nil)
	both := mirror.put(t, "cache/acme/both:1", image(t, time.Unix(1, 0), nil))
	origin.put(t, "acme/both:1", image(t, time.Unix(2, 0), nil))
	only := origin.put(t, "acme/only:1", image(t, time.Unix(3, 0), nil))
	mirrors, err := registry.ParseMirrors([]string{origin.host + "=" + mirror.host + "/cache"})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, registry.ClientConfig{Mirrors: mirrors}, origin, mirror)
	for reference, want := range map[string]string{"both:1": both, "only:1": only} {
		if got, err := c.Resolve(t.Context(), origin.host+"/acme/"+reference); err != nil || got != want {
			t.Errorf("Resolve(%s) = %s, %v, want %s", reference, got, err, want)
		}
	}
	if asked := origin.requests(); slices.ContainsFunc(asked, func(line string) bool { return strings.Contains(line, "both") }) {
		t.Errorf("the registry was asked for what its mirror has: %q", asked)
	}
	_, err = c.Resolve(t.Context(), origin.host+"/acme/none:1")
	if kindOf(t, err) != registry.NotFound || !strings.Contains(err.Error(), "and its mirror "+mirror.host) {
		t.Errorf("error = %v", err)
	}
}

func TestMemoIsBounded(t *testing.T) {
	now := time.Now()
	m := registry.NewMemo[int](time.Minute, 10, func() time.Time { return now })
	for i := range 100 {
		now = now.Add(time.Second)
		find := func(context.Context) (int, error) { return i, nil }
		if got, err := registry.Get(t.Context(), m, fmt.Sprint(i), find); err != nil || got != i {
			t.Fatalf("answer = %d, %v", got, err)
		}
		if n := registry.Len(m); n > 10 {
			t.Fatalf("%d answers are held, more than 10", n)
		}
	}
	again := func(context.Context) (int, error) { return -1, nil }
	for key, want := range map[string]int{"99": 99, "91": 91, "3": -1} {
		if got, err := registry.Get(t.Context(), m, key, again); err != nil || got != want {
			t.Errorf("answer for %s = %d, %v, want %d", key, got, err, want)
		}
	}
}
