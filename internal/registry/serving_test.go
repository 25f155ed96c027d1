package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"kiln/internal/registry"
)

// serving is an image that says of a service what config does.
func serving(t *testing.T, config v1.Config) v1.Image {
	t.Helper()
	built, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: config})
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// TestServing reads what an image says of a service, with the login of that alone.
func TestServing(t *testing.T) {
	h := newHub(t, "sesame", nil)
	h.put(t, "db:1", serving(t, v1.Config{
		ExposedPorts: map[string]struct{}{"33060/tcp": {}, "3306/tcp": {}, strings.Repeat("9", 50): {}},
		Healthcheck:  &v1.HealthConfig{Test: []string{"CMD", "/up"}, Interval: time.Second, Retries: 4},
		Shell:        []string{"/bin/bash", "-c"},
		Env:          []string{"PATH=/bin", "DATA=a=b", "BARE", "PATH=/again", strings.Repeat("x", 300) + "=1"},
	}))
	h.put(t, "plain:1", serving(t, v1.Config{Healthcheck: &v1.HealthConfig{Test: []string{"CMD-SHELL", strings.Repeat("x", 20_000)}}}))
	c := newClient(t, registry.ClientConfig{}, h)
	login := &authn.AuthConfig{Username: "robot", Password: "sesame"}
	got, err := c.Serving(t.Context(), h.host+"/db:1", "amd64", login)
	want := registry.Serving{
		Exposed: []string{"3306/tcp", "33060/tcp"},
		Health:  &registry.Healthcheck{Test: []string{"CMD", "/up"}, Interval: time.Second, Retries: 4},
		Shell:   []string{"/bin/bash", "-c"},

		Variables: []string{"BARE", "DATA", "PATH"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Serving: %v (-want +got):\n%s", err, diff)
	}
	if got, err := c.Serving(t.Context(), h.host+"/plain:1", "amd64", login); err != nil || got.Health != nil || got.Exposed != nil {
		t.Errorf("Serving of an image without = %+v, %v", got, err)
	}
	for what, login := range map[string]*authn.AuthConfig{"no login": nil, "a wrong one": {Username: "robot", Password: "x"}} {
		if _, err := c.Serving(t.Context(), h.host+"/db:1", "amd64", login); kindOf(t, err) != registry.Denied {
			t.Errorf("with %s: %v", what, err)
		}
	}
	if _, err := c.Serving(t.Context(), "A b", "amd64", login); kindOf(t, err) != registry.Malformed {
		t.Errorf("no reference: %v", err)
	}
}

// TestServingLoginStays: a mirror does not get the login.
func TestServingLoginStays(t *testing.T) {
	mirror, h := newHub(t, "", nil), newHub(t, "sesame", nil)
	h.put(t, "db:1", serving(t, v1.Config{ExposedPorts: map[string]struct{}{"1/tcp": {}}}))
	mirrors, err := registry.ParseMirrors([]string{h.host + "=" + mirror.host})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, registry.ClientConfig{Mirrors: mirrors}, h, mirror)
	got, err := c.Serving(t.Context(), h.host+"/db:1", "amd64", &authn.AuthConfig{Username: "robot", Password: "sesame"})
	if err != nil || len(got.Exposed) != 1 {
		t.Errorf("Serving = %+v, %v", got, err)
	}
	if mirror.got("Basic") || len(mirror.requests()) == 0 {
		t.Error("the mirror was not asked, or got the login")
	}
}

// TestWith reads how a private image starts, and its files, with the login of that
// alone; what the login opened is closed to others.
func TestWith(t *testing.T) {
	h := newHub(t, "sesame", nil)
	image, err := mutate.AppendLayers(serving(t, v1.Config{User: "app:app"}), layerOf(t, [2]string{"etc/group", "app:x:7:"}))
	if err != nil {
		t.Fatal(err)
	}
	h.put(t, "app:1", image)
	c, reference := newClient(t, registry.ClientConfig{}, h), h.host+"/app:1"
	login := &authn.AuthConfig{Username: "robot", Password: "sesame"}
	start, err := c.StartWith(t.Context(), reference, "amd64", login)
	if err != nil || start.User != "app:app" {
		t.Errorf("StartWith = %+v, %v", start, err)
	}
	files, err := c.FilesWith(t.Context(), reference, "amd64", login, "etc/group")
	if err != nil || files["etc/group"] != "app:x:7:" {
		t.Errorf("FilesWith = %v, %v", files, err)
	}
	for what, login := range map[string]*authn.AuthConfig{"no login": nil, "a wrong one": {Username: "robot", Password: "x"}} {
		if _, err := c.StartWith(t.Context(), reference, "amd64", login); kindOf(t, err) != registry.Denied {
			t.Errorf("%s: StartWith = %v", what, err)
		}
		if _, err := c.FilesWith(t.Context(), reference, "amd64", login, "etc/group"); kindOf(t, err) != registry.Denied {
			t.Errorf("%s: FilesWith = %v", what, err)
		}
	}
	if _, err := c.StartWith(t.Context(), "A b", "amd64", login); kindOf(t, err) != registry.Malformed {
		t.Errorf("StartWith = %v", err)
	}
	if _, err := c.FilesWith(t.Context(), "A b", "amd64", login); kindOf(t, err) != registry.Malformed {
		t.Errorf("FilesWith = %v", err)
	}
}
