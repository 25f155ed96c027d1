package assemble_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/internal/assemble"
)

func TestManifest(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	manifest := func(kind, config string, layers ...string) []byte {
		m := map[string]any{"schemaVersion": 2, "mediaType": kind, "config": map[string]any{"mediaType": config, "size": 2, "digest": digest}}
		var all []any
		for _, layer := range layers {
			all = append(all, map[string]any{"mediaType": layer, "size": 3, "digest": digest})
		}
		m["layers"] = all
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	const (
		dockerKind, dockerConfig = "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json"
		dockerLayer, dockerZstd  = "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.diff.tar.zstd"
		ociKind, ociConfig       = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"
		ociLayer, ociZstd        = "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"
	)
	for _, test := range []struct {
		name, rest string
		base       []byte
		want       []string
	}{
		{"docker", "COPY a /", manifest(dockerKind, dockerConfig, dockerLayer), []string{dockerKind, dockerConfig, dockerLayer, dockerLayer}},
		{"oci", "COPY a /", manifest(ociKind, ociConfig, ociLayer, ociZstd), []string{ociKind, ociConfig, ociLayer, ociZstd, ociLayer}},
		{"oci with a health check", "COPY a /\nHEALTHCHECK CMD x", manifest(ociKind, ociConfig, ociLayer, ociZstd), []string{dockerKind, dockerConfig, dockerLayer, dockerZstd, dockerLayer}},
		{"no layer", "ENV A=1", manifest(ociKind, ociConfig, ociLayer), []string{ociKind, ociConfig, ociLayer}},
		{"scratch", "COPY a /", nil, []string{dockerKind, dockerConfig, dockerLayer}},
	} {
		t.Run(test.name, func(t *testing.T) {
			made, err := run(t, "FROM base\n"+test.rest+"\n", files)
			if err != nil {
				t.Fatal(err)
			}
			var layer *assemble.Layer
			if made.image.Changes() {
				layer = &assemble.Layer{Digest: digest, Size: 9}
			}
			data, kind, err := made.image.Manifest(test.base, []byte("{}"), layer)
			if err != nil {
				t.Fatal(err)
			}
			m, err := v1.ParseManifest(strings.NewReader(string(data)))
			if err != nil {
				t.Fatal(err)
			}
			got := []string{string(kind), string(m.Config.MediaType)}
			for _, of := range m.Layers {
				got = append(got, string(of.MediaType))
			}
			if diff := cmp.Diff(test.want, got); diff != "" || m.MediaType != kind || m.Config.Size != 2 {
				t.Errorf("types (-want +got):\n%s\n%s", diff, data)
			}
		})
	}
	made, err := run(t, "FROM base\nHEALTHCHECK CMD x\n", files)
	if err != nil {
		t.Fatal(err)
	}
	for name, base := range map[string][]byte{"no manifest": []byte("{"), "another layer": manifest(ociKind, ociConfig, "text/plain")} {
		if _, _, err := made.image.Manifest(base, nil, nil); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
