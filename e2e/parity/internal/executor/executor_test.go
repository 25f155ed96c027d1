package executor

import (
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	kaniko "kiln/internal/executor"
)

func TestFlavor(t *testing.T) {
	for _, tt := range []struct {
		image, setting string
		want           kaniko.Flavor
		wrong          string
	}{
		{want: kaniko.Flavor{Name: "chainguard", Version: "1.25.16"}},
		{image: "ghcr.io/osscontainertools/kaniko:v1.28.3-slim", want: kaniko.Flavor{Name: "osscontainertools", Version: "1.28.3"}},
		{image: "/tmp/image", setting: "osscontainertools@v1.28.3", want: kaniko.Flavor{Name: "osscontainertools", Version: "1.28.3"}},
		{image: "example.com/mirror", wrong: "--flavor"},
		{image: "/tmp/image", setting: "other", wrong: "write chainguard"},
	} {
		got, err := Flavor(tt.image, tt.setting)
		if tt.wrong == "" && (err != nil || got != tt.want) || tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
			t.Errorf("Flavor(%q, %q) = %v, %v", tt.image, tt.setting, got, err)
		}
	}
}

// Every place in which an image is kept gives the one for this platform.
func TestSave(t *testing.T) {
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}},
	)
	dir := t.TempDir()
	write := func(name string, index v1.ImageIndex) string {
		if _, err := layout.Write(filepath.Join(dir, name), index); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	archive := filepath.Join(dir, "image.tar")
	if err := tarball.WriteToFile(archive, name.MustParseReference("x/y:z"), img); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New())
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/kaniko:v1"
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	for place, image := range map[string]string{
		"layout":           write("layout", index),
		"layout of one":    write("one", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})),
		"layout, indirect": write("indirect", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})),
		"archive":          archive,
		"registry":         reference,
	} {
		t.Run(place, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "saved.tar")
			if err := Save(t.Context(), image, file); err != nil {
				t.Fatal(err)
			}
			saved, err := tarball.ImageFromPath(file, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := saved.ConfigName()
			if want, _ := img.ConfigName(); got != want {
				t.Errorf("saved image %s, want %s", got, want)
			}
		})
	}
	lacking := write("lacking", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}},
	}))
	if err := Save(t.Context(), lacking, filepath.Join(dir, "no.tar")); err == nil || !strings.Contains(err.Error(), "holds no image for linux/") {
		t.Errorf("Save of a layout for another platform: %v", err)
	}
}
