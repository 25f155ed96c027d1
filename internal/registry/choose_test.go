package registry_test

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"kiln/internal/registry"
)

// A listed is one of an index: an image whose one trigger is its name, or a
// further index.
type listed struct {
	name     string
	platform string // as os/arch/variant; "" is none
	of       []listed
}

// indexOf makes an index. Every image says linux/amd64 of itself, unless its name
// has another architecture behind a colon.
func indexOf(t *testing.T, entries []listed) v1.ImageIndex {
	t.Helper()
	index := v1.ImageIndex(empty.Index)
	for _, e := range entries {
		add := mutate.IndexAddendum{}
		if e.platform != "" {
			parts := strings.Split(e.platform+"/", "/")
			add.Descriptor.Platform = &v1.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
		}
		if e.of != nil {
			add.Add = indexOf(t, e.of)
		} else {
			_, arch, _ := strings.Cut(e.name+":amd64", ":")
			built, err := mutate.ConfigFile(image(t, time.Unix(1, 0), nil), &v1.ConfigFile{
				OS: "linux", Architecture: strings.Split(arch, ":")[0], Config: v1.Config{OnBuild: []string{e.name}},
			})
			if err != nil {
				t.Fatal(err)
			}
			add.Add = built
		}
		index = mutate.AppendManifests(index, add)
	}
	return index
}

// TestBaseOfIndex holds which image of an index is taken: BuildKit's choice.
func TestBaseOfIndex(t *testing.T) {
	deep := []listed{{name: "deep", platform: "linux/amd64"}}
	for range 10 {
		deep = []listed{{platform: "linux/amd64", of: deep}}
	}
	for name, tt := range map[string]struct {
		entries []listed
		want    string
		kind    registry.Kind
		differ  bool
	}{
		"the platform":                 {[]listed{{name: "arm:arm64", platform: "linux/arm64"}, {name: "amd", platform: "linux/amd64"}}, "amd", "", false},
		"the first of two":             {[]listed{{name: "one", platform: "linux/amd64"}, {name: "two", platform: "linux/amd64"}}, "one", "", false},
		"a variant before the plain":   {[]listed{{name: "v3", platform: "linux/amd64/v3"}, {name: "plain", platform: "linux/amd64"}}, "plain", "", true},
		"v1 is the plain one":          {[]listed{{name: "v2", platform: "linux/amd64/v2"}, {name: "v1", platform: "linux/amd64/v1"}}, "v1", "", true},
		"a variant alone":              {[]listed{{name: "v3", platform: "linux/amd64/v3"}}, "", registry.OtherPlatform, false},
		"a smaller one":                {[]listed{{name: "386:386", platform: "linux/386"}}, "386:386", "", true},
		"a smaller one before":         {[]listed{{name: "386:386", platform: "linux/386"}, {name: "amd", platform: "linux/amd64"}}, "amd", "", false},
		"without a platform":           {[]listed{{name: "unsaid"}}, "unsaid", "", false},
		"without a platform, another":  {[]listed{{name: "unsaid:arm64"}}, "", registry.OtherPlatform, false},
		"without a platform, before":   {[]listed{{name: "unsaid"}, {name: "amd", platform: "linux/amd64"}}, "amd", "", true},
		"an attestation before":        {[]listed{{name: "sbom", platform: "unknown/unknown"}, {name: "amd", platform: "linux/amd64"}}, "amd", "", false},
		"attestations alone":           {[]listed{{name: "sbom", platform: "unknown/unknown"}}, "", registry.OtherPlatform, false},
		"an index in an index":         {[]listed{{platform: "linux/amd64", of: []listed{{name: "amd", platform: "linux/amd64"}}}}, "amd", "", false},
		"an index without a platform":  {[]listed{{of: []listed{{name: "arm:arm64", platform: "linux/arm64"}, {name: "amd", platform: "linux/amd64"}}}}, "amd", "", false},
		"an index without a fit first": {[]listed{{of: []listed{{name: "arm:arm64", platform: "linux/arm64"}}}, {of: []listed{{name: "amd", platform: "linux/amd64"}}}}, "", registry.OtherPlatform, false},
		"deeper than anybody":          {deep, "", registry.Unfit, false},
		"none":                         {[]listed{}, "", registry.OtherPlatform, false},
		"another system":               {[]listed{{name: "win", platform: "windows/amd64"}}, "", registry.OtherPlatform, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, "", nil)
			digest := h.put(t, "base:1", indexOf(t, tt.entries))
			c := newClient(t, registry.ClientConfig{}, h)
			base, err := c.Base(t.Context(), h.host+"/base:1", digest, "amd64")
			if kindOf(t, err) != tt.kind || strings.Join(base.Triggers, " ") != tt.want || base.Differ != tt.differ {
				t.Fatalf("Base = %q, differ %v, %v; want %q", base.Triggers, base.Differ, err, tt.want)
			}
			if tt.kind != "" {
				return
			}
			// What is named is the image itself.
			again, err := c.Base(t.Context(), h.host+"/base:1", base.Manifest, "amd64")
			if err != nil || strings.Join(again.Triggers, " ") != tt.want || again.Manifest != base.Manifest || again.Differ {
				t.Errorf("the image alone: %+v, %v", again, err)
			}
		})
	}
}

// A tag is pinned to the image itself; a digest is what the Dockerfile says, and
// whoever goes by it has to take the same of an index.
func TestPin(t *testing.T) {
	const image, index = "sha256:1111111111111111111111111111111111111111111111111111111111111111", "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	for _, tt := range []struct {
		reference string
		differ    bool
		want      string
		same      bool
	}{
		{"alpine", true, "index.docker.io/library/alpine:latest@" + image, true},
		{"ghcr.io/acme/base:1", false, "ghcr.io/acme/base:1@" + image, true},
		{"alpine@" + index, false, "alpine@" + index, true},
		{"alpine:3@" + index, true, "alpine:3@" + index, false},
	} {
		pinned, same, err := registry.Base{Manifest: image, Differ: tt.differ}.Pin(tt.reference)
		if err != nil || pinned != tt.want || same != tt.same {
			t.Errorf("Pin(%s) = %s, %v, %v", tt.reference, pinned, same, err)
		}
	}
	if _, _, err := (registry.Base{}).Pin("Not An Image"); err == nil {
		t.Error("no image is pinned")
	}
}
