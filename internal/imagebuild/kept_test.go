package imagebuild

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	content "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kiln/internal/gate"
	"kiln/internal/kube/kubetest"
	"kiln/internal/registry"
)

// A registry with immutable tags refuses the image of a rebuild: the gate says
// so, the image that the tag has runs, and the step's log warns of it.
func TestKeptImage(t *testing.T) {
	host := immutableRegistry(t)
	push := host + "/ci/app:k1-0"
	old, rebuilt := pushable(t), pushable(t)
	if err := remote.Write(parsed(t, push), old); err != nil {
		t.Fatal(err)
	}
	said := pushThroughGate(t, host, rebuilt)

	o, out := anOrder(kubetest.New())
	o.builder.options.Registry = registry.NewClient(registry.ClientConfig{Insecure: []string{host}})
	o.plan.push = push
	l, _ := aLife(t, out)
	for line := range strings.Lines(said) {
		l.on(gateSaid{strings.TrimSuffix(line, "\n")})
	}
	if !l.kept {
		t.Fatalf("the gate says %q, want kept", said)
	}
	got, err := o.keptImage(t.Context())
	want, _ := old.Digest()
	if err != nil || got.digest != want.String() || !got.kept {
		t.Errorf("the outcome is %+v, %v, want the old image %s", got, err, want)
	}
	o.warnKept(got)
	if text := "::warning::kiln: the registry keeps the image that has the tag " + push; !strings.Contains(out.String(), text) {
		t.Errorf("the log says %q, want %q", out.String(), text)
	}
}

// immutableRegistry takes a tag once and answers a second push as Amazon ECR does.
func immutableRegistry(t *testing.T) (host string) {
	t.Helper()
	inner := content.New(content.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			there := httptest.NewRecorder()
			inner.ServeHTTP(there, httptest.NewRequestWithContext(r.Context(), http.MethodHead, r.URL.Path, http.NoBody))
			if there.Code == http.StatusOK {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"errors":[{"code":"TAG_INVALID","message":"The image tag 'k1-0' already exists and cannot be overwritten because the repository is immutable."}]}`)
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// pushThroughGate pushes ci/app:k1-0 and returns what the gate logs of it.
func pushThroughGate(t *testing.T, host string, image v1.Image) string {
	t.Helper()
	var said bytes.Buffer
	handler, err := gate.New(gate.Config{Push: host + "/ci/app:k1-0", Insecure: []string{host}, Log: &said})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	element, err := registry.Element(host)
	if err != nil {
		t.Fatal(err)
	}
	_ = remote.Write(parsed(t, strings.TrimPrefix(server.URL, "http://")+"/"+element+"/ci/app:k1-0"), image)
	server.Close()
	return said.String()
}

func pushable(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(1<<10, 1)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func parsed(t *testing.T, image string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
