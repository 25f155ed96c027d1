package gate_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/internal/gate"
	names "kiln/internal/registry"
)

// Whatever address a registry gives an upload, the client sees a number.
func TestUploadAddressesStayInside(t *testing.T) {
	for _, form := range []string{"absolute", "relative", "elsewhere on the host"} {
		t.Run(form, func(t *testing.T) {
			var target *upstream
			target = newUpstream(t, func(content http.Handler) http.Handler {
				return moveUploads(content, form, func() string { return target.host })
			})
			base := target.write(t, "base:1")
			push := target.host + "/acme/app:k1-0"
			g := start(t, gate.Config{
				Push:         push,
				Insecure:     []string{target.host},
				DockerConfig: dockerConfig(t, target.host),
			})
			tr := transport(t)
			seen := &locations{next: tr}
			if err := remote.Write(g.reference(t, push), extend(t, base), remote.WithTransport(seen), remote.WithJobs(1)); err != nil {
				t.Fatal(err)
			}
			if len(seen.values) == 0 {
				t.Error("no upload was seen")
			}
			for _, location := range seen.values {
				if !strings.HasPrefix(location, "/v2/") || strings.Contains(location, target.host) || strings.Contains(location, "?") {
					t.Errorf("the client got Location %q", location)
				}
			}
			if strings.Contains(g.log.String(), "denied") {
				t.Errorf("log = %q", g.log.String())
			}
		})
	}
}

// moveUploads wraps a registry so that it gives its uploads an address of the
// given form, with a state that must come back.
func moveUploads(content http.Handler, form string, host func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, moved := strings.CutPrefix(r.URL.Path, "/uploads-live-here"); moved {
			r.URL.Path = rest
		}
		if strings.Contains(r.URL.Path, "/blobs/uploads/") && r.Method != http.MethodPost && r.URL.Query().Get("_state") != "s+/=" {
			http.Error(w, "the state is lost", http.StatusBadRequest)
			return
		}
		content.ServeHTTP(&rewriter{ResponseWriter: w, form: form, host: host()}, r)
	})
}

type rewriter struct {
	http.ResponseWriter
	form, host string
}

func (w *rewriter) WriteHeader(status int) {
	if location := w.Header().Get("Location"); location != "" {
		location += "?_state=s%2B%2F%3D"
		switch w.form {
		case "absolute":
			location = "http://" + w.host + location
		case "elsewhere on the host":
			location = "/uploads-live-here" + location
		}
		w.Header().Set("Location", location)
	}
	w.ResponseWriter.WriteHeader(status)
}

// locations records the Location fields that a client gets.
type locations struct {
	next   http.RoundTripper
	values []string
}

func (l *locations) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err == nil && response.Header.Get("Location") != "" {
		l.values = append(l.values, response.Header.Get("Location"))
	}
	return response, err
}

func TestUnknownUpload(t *testing.T) {
	target := newUpstream(t, nil)
	g, manifestPath := startPush(t, target)
	path := strings.TrimSuffix(manifestPath, "manifests/k1-0") + "blobs/uploads/7"
	status, body := g.do(t, "PATCH", path, "", "x")
	if status != http.StatusNotFound || !strings.Contains(body, "BLOB_UPLOAD_UNKNOWN") {
		t.Errorf("answer %d %s", status, body)
	}
}

// Blobs are mounted from listed images of the same registry, directly or
// through its being a mirror; every other mount becomes an upload.
func TestMount(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		t.Run(fmt.Sprintf("registry refuses %v", refuses), func(t *testing.T) {
			target := newUpstream(t, func(content http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.URL.Query().Get("mount") == "":
						content.ServeHTTP(w, r)
					case refuses:
						http.Error(w, "no mounts here", http.StatusMethodNotAllowed)
					default:
						w.WriteHeader(http.StatusCreated)
					}
				})
			})
			testMounts(t, target, refuses)
		})
	}
}

func testMounts(t *testing.T, target *upstream, refuses bool) {
	mirrors, err := names.ParseMirrors([]string{"docker.io=" + target.host + "/hub"})
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, gate.Config{
		Push:         target.host + "/acme/app:k1-0",
		Pull:         []string{target.host + "/base:1", "busybox", "ghcr.io/acme/base:1"},
		Mirrors:      mirrors,
		Insecure:     []string{target.host},
		DockerConfig: dockerConfig(t, target.host),
	})
	element, err := names.Element(target.host)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ from, mount, want string }{
		{element + "/base", someDigest, "from=base&"},
		{"index__docker__io/library/busybox", someDigest, "from=hub%2Flibrary%2Fbusybox&"},
		{"ghcr.io/acme/base", someDigest, ""},
		{element + "/secret", someDigest, ""},
		{"base", someDigest, ""},
		{"secret", someDigest, ""},
		{element + "/base", "sha256:x", ""},
		{element + "/base", "", ""},
		{"", someDigest, ""},
	}
	for _, tt := range tests {
		before := len(target.requests("POST"))
		query := "?origin=x&from=" + tt.from + "&mount=" + tt.mount
		status, body := g.do(t, "POST", "/v2/"+element+"/acme/app/blobs/uploads/"+query, "", "")
		wantStatus := http.StatusAccepted
		if tt.want != "" && !refuses {
			wantStatus = http.StatusCreated
		}
		if status != wantStatus {
			t.Errorf("%s: answer %d %s, want %d", query, status, body, wantStatus)
		}
		for _, asked := range target.requests("POST")[before:] {
			mounts := strings.Contains(asked, "mount")
			if mounts && (tt.want == "" || !strings.Contains(asked, tt.want)) || strings.Contains(asked, "origin") {
				t.Errorf("%s: the registry was asked %q", query, asked)
			}
		}
	}
}
