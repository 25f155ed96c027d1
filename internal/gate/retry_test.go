package gate_test

import (
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiln/internal/gate"
)

// failFirst answers the first n requests that match with status; all reports
// whether there were that many.
func failFirst(n int32, status int, header http.Header, match func(*http.Request) bool) (wrap func(http.Handler) http.Handler, all func() bool) {
	var seen atomic.Int32
	all = func() bool { return seen.Load() >= n }
	return func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if match(r) && seen.Add(1) <= n {
				maps.Copy(w.Header(), header)
				http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`, status)
				return
			}
			content.ServeHTTP(w, r)
		})
	}, all
}

func isRead(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/v2/base/") && r.Method == http.MethodGet
}

// A registry that is busy is asked again, for all that may be sent twice.
func TestBusyRegistry(t *testing.T) {
	for _, status := range []int{429, 500, 502, 503, 504} {
		for name, match := range map[string]func(*http.Request) bool{
			"read": isRead,
			"find": func(r *http.Request) bool {
				return strings.HasPrefix(r.URL.Path, "/v2/app/") && r.Method == http.MethodHead
			},
			"start":    func(r *http.Request) bool { return r.Method == http.MethodPost },
			"manifest": func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/app/manifests/") },
		} {
			wrap, failed := failFirst(1, status, nil, match)
			target := newUpstream(t, wrap)
			target.write(t, "base:1")
			g := start(t, gate.Config{
				Push:         target.host + "/app:k1-0",
				Pull:         []string{target.host + "/base:1"},
				Insecure:     []string{target.host},
				DockerConfig: dockerConfig(t, target.host),
			})
			t.Log(name, status)
			buildThrough(t, g, target.host+"/base:1", target.host+"/app:k1-0")
			if !failed() {
				t.Errorf("%s: no request was answered with %d", name, status)
			}
		}
	}
}

// Retry-After is obeyed, and one that lasts too long is passed on at once.
func TestRetryAfter(t *testing.T) {
	tests := []struct {
		after    string
		status   int
		requests int
		least    time.Duration // a pause of the gate's own is a millisecond
	}{
		{"1", http.StatusOK, 2, time.Second},
		{"in three seconds", http.StatusOK, 2, time.Second},
		{"21600", http.StatusTooManyRequests, 1, 0},
		{"soon", http.StatusOK, 2, 0},
	}
	for _, tt := range tests {
		t.Run(tt.after, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Retry-After": {tt.after}}
			wrap, failed := failFirst(1, http.StatusTooManyRequests, header, isRead)
			target := newUpstream(t, wrap)
			target.write(t, "base:1")
			g := start(t, gate.Config{
				Push:         target.host + "/app:k1-0",
				Pull:         []string{target.host + "/base:1"},
				Insecure:     []string{target.host},
				DockerConfig: dockerConfig(t, target.host),
			})
			began := time.Now()
			if tt.after == "in three seconds" { // a date, without fractions of a second
				header.Set("Retry-After", began.Add(3*time.Second).UTC().Format(http.TimeFormat))
			}
			status, body := g.do(t, "GET", "/v2/"+g.reference(t, target.host+"/base").Context().RepositoryStr()+"/manifests/1", "", "")
			if status != tt.status || !failed() || len(target.requests("GET /v2/base/")) != tt.requests || time.Since(began) < tt.least {
				t.Errorf("answer %d %s after %s and %q", status, body, time.Since(began), target.requests("GET /v2/base/"))
			}
			if status == http.StatusTooManyRequests && !strings.Contains(body, "slow down") {
				t.Errorf("the registry's words are lost: %s", body)
			}
		})
	}
}

// A registry that stays broken is told of with its name, in a way that clients
// do not answer with more requests.
func TestBrokenRegistry(t *testing.T) {
	wrap, _ := failFirst(1000, http.StatusServiceUnavailable, nil, isRead)
	target := newUpstream(t, wrap)
	g := start(t, gate.Config{
		Push:         target.host + "/app:k1-0",
		Pull:         []string{target.host + "/base:1"},
		Insecure:     []string{target.host},
		DockerConfig: dockerConfig(t, target.host),
	})
	status, body := blobOf(t, g, target, "base")
	if status != http.StatusFailedDependency || !strings.Contains(body, "registry "+target.host+": it answers 503 Service Unavailable") {
		t.Errorf("answer %d %s", status, body)
	}
	if got := len(target.requests("GET /v2/base/")); got != 2 {
		t.Errorf("the registry was asked %d times, want 2", got)
	}
}

// A piece of a layer is not sent again, since it is gone: the client is told to
// begin with the layer anew.
func TestBusyInTheMiddleOfALayer(t *testing.T) {
	isPatch := func(r *http.Request) bool { return r.Method == http.MethodPatch }
	wrap, failed := failFirst(1, http.StatusTooManyRequests, nil, isPatch)
	target := newUpstream(t, wrap)
	target.write(t, "base:1")
	push := target.host + "/app:k1-0"
	g := start(t, gate.Config{
		Push:         push,
		Pull:         []string{target.host + "/base:1"},
		Insecure:     []string{target.host},
		DockerConfig: dockerConfig(t, target.host),
	})
	buildThrough(t, g, target.host+"/base:1", push)
	pieces := len(target.requests("PATCH /v2/app/"))
	if !failed() || pieces < 2 {
		t.Errorf("%d pieces of layers were sent, and none was refused: %v", pieces, target.requests("/v2/app/"))
	}
	// A layer is begun anew, so there is an upload for each piece.
	if uploads := len(target.requests("POST /v2/app/blobs/uploads/")); uploads != pieces {
		t.Errorf("%d uploads for %d pieces", uploads, pieces)
	}
}
