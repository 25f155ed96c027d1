package registry_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kiln/internal/registry"
)

// wantKind fails the test unless err is a LookupError of that kind.
func wantKind(t *testing.T, err error, kind registry.Kind) {
	t.Helper()
	if lookup, ok := errors.AsType[*registry.LookupError](err); !ok || lookup.Kind != kind {
		t.Errorf("error = %v, want one of kind %q", err, kind)
	}
}

func TestReach(t *testing.T) {
	h := newHub(t, "secret", nil)
	date, _, err := newClient(t, registry.ClientConfig{}, h).Reach(t.Context(), h.host+"/a:r-1")
	if err != nil || time.Since(date).Abs() > time.Minute {
		t.Errorf("Reach = %s, %v", date, err)
	}
	if h.got("Basic") || h.got("Bearer") {
		t.Error("it logged in")
	}
	_, _, err = newClient(t, registry.ClientConfig{}).Reach(t.Context(), h.host+"/a:r-1")
	wantKind(t, err, registry.Unreachable) // plain HTTP is not allowed
	_, _, err = newClient(t, registry.ClientConfig{}).Reach(t.Context(), "no reference")
	wantKind(t, err, registry.Malformed)
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	host := strings.TrimPrefix(other.URL, "http://")
	_, _, err = newClient(t, registry.ClientConfig{Insecure: []string{host}}).Reach(t.Context(), host+"/a:r-1")
	wantKind(t, err, registry.NotFound)
}

func TestLogin(t *testing.T) {
	h := newHub(t, "secret", func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	})
	reference := h.host + "/a:r-1"
	if err := newClient(t, registry.ClientConfig{Push: robot("secret", h.host)}, h).Login(t.Context(), reference); err != nil {
		t.Errorf("the right password: %v", err)
	}
	err := newClient(t, registry.ClientConfig{Push: robot("wrong", h.host)}, h).Login(t.Context(), reference)
	wantKind(t, err, registry.Denied)
	if errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("a wrong password counts as none: %v", err)
	}
	err = newClient(t, registry.ClientConfig{Pull: robot("secret", h.host)}, h).Login(t.Context(), reference)
	wantKind(t, err, registry.Denied)
	if !errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("no password: %v", err)
	}
	if err := newClient(t, registry.ClientConfig{Push: registry.ContentKeychain("x", []byte("{"))}, h).Login(t.Context(), reference); err == nil || !strings.Contains(err.Error(), "credentials x") {
		t.Errorf("a file of no use: %v", err)
	}
}

func TestWriteAndDelete(t *testing.T) {
	h := newHub(t, "secret", nil)
	client := newClient(t, registry.ClientConfig{Push: robot("secret", h.host)}, h)
	trial := image(t, time.Now(), nil)
	if err := client.Write(t.Context(), h.host+"/a:r-1", trial); err != nil {
		t.Fatal(err)
	}
	found, err := client.Image(t.Context(), h.host+"/a:r-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Delete(t.Context(), h.host+"/a@"+found.Digest); err != nil {
		t.Errorf("Delete: %v", err)
	}
	_, err = client.Image(t.Context(), h.host+"/a@"+found.Digest)
	wantKind(t, err, registry.NotFound)
	wantKind(t, client.Delete(t.Context(), h.host+"/a@"+found.Digest), registry.NotFound)
}

func TestDeniedWriteIsNotTriedAgain(t *testing.T) {
	h := newHub(t, "", func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"errors":[{"code":"DENIED"}]}`, http.StatusForbidden)
		})
	})
	err := newClient(t, registry.ClientConfig{}, h).Write(t.Context(), h.host+"/a:r-1", image(t, time.Now(), nil))
	wantKind(t, err, registry.Denied)
	for _, path := range h.requests() {
		if strings.HasPrefix(path, "PUT") {
			t.Errorf("sent %s after the refusal", path)
		}
	}
}
