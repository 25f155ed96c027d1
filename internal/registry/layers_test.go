package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"kiln/internal/registry"
)

// A base whose layers no gate would let through is refused before anything is
// built, and one with any layers that Docker's registries hold is not.
func TestBaseLayers(t *testing.T) {
	const config = `{"config":{}}`
	layer := func(mediaType, more string) string {
		return fmt.Sprintf(`"layers":[{"mediaType":%q,"digest":%q,"size":1%s}]`, mediaType, registry.DigestOf(nil), more)
	}
	const gzip = "application/vnd.oci.image.layer.v1.tar+gzip"
	members := map[string]string{ // to what the error says
		layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", `,"urls":["https://example.com/l"]`): "foreign",
		layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", ""):                               "nondistributable",
		layer("application/vnd.cncf.helm.chart.content.v1.tar+gzip", ""):                                        "helm",
		layer("", ""): "media type",
		layer(gzip, `,"urls":["https://example.com/l"]`):     "urls",
		layer(gzip, `,"data":"eA=="`):                        "data",
		layer(gzip, "") + `,"subject":{"digest":"sha256:1"}`: "subject",
		layer(gzip, "") + `,"subject":null`:                  "",
		layer(gzip, `,"annotations":{"a":"b"}`):              "",
		`"layers":[]`:                                        "",
	}
	for _, mediaType := range registry.LayerTypes() {
		members[layer(mediaType, "")] = ""
	}
	for text, want := range members {
		manifest := strings.TrimSuffix(manifestOf(config), "}") + "," + text + "}"
		h := hostile(t, manifest, config)
		_, err := newClient(t, registry.ClientConfig{}, h).Base(t.Context(), h.host+"/base:1", registry.DigestOf([]byte(manifest)), "amd64")
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (kindOf(t, err) != registry.Unfit || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
