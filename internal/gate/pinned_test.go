package gate_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/internal/gate"
)

// A pinned tag is answered with its digest, by HEAD and by GET, whatever image
// has the tag by now; one without a digest with what the registry has.
func TestPinnedTags(t *testing.T) {
	bases := newUpstream(t, nil)
	first, second := bases.write(t, "base:1"), bases.write(t, "base:2")
	bases.write(t, "base:1")
	bases.write(t, "base:2")
	moved := bases.write(t, "base:3")
	repository := bases.host + "/base"
	g := start(t, gate.Config{
		Push: bases.host + "/app:k1-0",
		Pull: []string{
			repository + ":1@" + digestOf(t, first),
			repository + ":2@" + digestOf(t, second),
			repository + ":1",
			repository + ":3",
		},
		Insecure:     []string{bases.host},
		DockerConfig: dockerConfig(t, bases.host),
	})
	client := remote.WithTransport(transport(t))
	for tag, want := range map[string]string{"1": digestOf(t, first), "2": digestOf(t, second), "3": digestOf(t, moved)} {
		ref := g.reference(t, repository+":"+tag)
		head, err := remote.Head(ref, client)
		if err != nil || head.Digest.String() != want {
			t.Errorf("HEAD of tag %s: %v, %v, want %s", tag, head, err, want)
		}
		image, err := remote.Image(ref, client)
		if err != nil || digestOf(t, image) != want {
			t.Errorf("GET of tag %s: %v, %v, want %s", tag, image, err, want)
		}
		pullAll(t, g, repository+":"+tag)
	}
	if asked := bases.requests("/manifests/1"); len(asked) > 0 {
		t.Errorf("the registry was asked for the pinned tag: %q", asked)
	}
}

// A registry that has other content under the digest of a pinned tag, and a
// mirror that has, do not reach the build: its client asked by tag and would
// not notice.
func TestPinnedTagIsVerified(t *testing.T) {
	bases := newUpstream(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", someDigest)
			w.Header().Set("Content-Type", ociType)
			_, _ = w.Write([]byte(manifest("")))
		})
	})
	g := start(t, gate.Config{
		Push:         bases.host + "/app:k1-0",
		Pull:         []string{bases.host + "/base:1@" + someDigest},
		Insecure:     []string{bases.host},
		DockerConfig: dockerConfig(t, bases.host),
	})
	path := g.reference(t, bases.host+"/base:1").Context().RepositoryStr()
	status, body := g.do(t, "GET", "/v2/"+path+"/manifests/1", "", "")
	if status != http.StatusFailedDependency || !strings.Contains(body, "other content than that of "+someDigest) {
		t.Errorf("answer %d %s", status, body)
	}
	if asked := bases.requests("GET /v2/base"); len(asked) != 1 {
		t.Errorf("the registry was asked %q", asked)
	}
}

func TestPinErrors(t *testing.T) {
	other := "sha256:" + strings.Repeat("b", 64)
	for pull, want := range map[string]string{
		"base:1@sha256:abc":                  "pull reference",
		"base:1@" + someDigest + "@" + other: "pull reference",
		"base:@" + someDigest:                "pull reference",
		"base:1@" + other:                    "its tag is pinned to " + someDigest + " as well",
	} {
		_, err := gate.New(gate.Config{Push: "ghcr.io/app:k1-0", Pull: []string{"base:1@" + someDigest, pull}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", pull, err, want)
		}
	}
}

// A registry that sends a manifest drop by drop holds nobody up for long.
func TestSlowManifest(t *testing.T) {
	bases := newUpstream(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return
			}
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
	})
	g := start(t, gate.Config{
		Push:         bases.host + "/app:k1-0",
		Pull:         []string{bases.host + "/base:1@" + someDigest},
		Insecure:     []string{bases.host},
		DockerConfig: dockerConfig(t, bases.host),
		ManifestTime: 100 * time.Millisecond,
	})
	path := "/v2/" + g.reference(t, bases.host+"/base:1").Context().RepositoryStr() + "/manifests/1"
	status, body := g.do(t, "GET", path, "", "")
	if status != http.StatusFailedDependency || !strings.Contains(body, bases.host) {
		t.Errorf("answer %d %s", status, body)
	}
}
