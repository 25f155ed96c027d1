#!/usr/bin/env bash
# HEALTHCHECK --start-interval, which Docker has since version 25, in an image of which three
# libraries set nothing but a label:
#
#   go-containerregistry v0.22.1 (crane mutate): the interval is gone from the health check,
#     and StopTimeout, which stands beside it
#   regclient v0.11.7 (regctl image mod): the interval is gone
#   umoci v0.6.0 (umoci config): the whole health check is gone, and ONBUILD, SHELL and
#     StopTimeout with it
#
# A service is then checked once in an interval instead of every second while it starts, or
# not at all.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

mkdir -p image/blobs/sha256
# blob puts its argument into the layout and prints what a descriptor says of it.
blob() {
  local digest
  digest=$(printf %s "$1" | sha256sum | cut -d' ' -f1)
  printf %s "$1" >"image/blobs/sha256/$digest"
  printf '"digest": "sha256:%s", "size": %d' "$digest" "${#1}"
}
type=application/vnd.oci.image
config=$(blob '{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "config": {
  "Healthcheck": {"Test": ["CMD", "probe"], "Interval": 60000000000, "StartInterval": 1000000000},
  "OnBuild": ["RUN make"], "Shell": ["/bin/bash", "-c"], "StopTimeout": 30}}')
manifest=$(blob '{"schemaVersion": 2, "mediaType": "'$type'.manifest.v1+json", "layers": [],
  "config": {"mediaType": "'$type'.config.v1+json", '"$config}}")
echo '{"imageLayoutVersion": "1.0.0"}' >image/oci-layout
echo '{"schemaVersion": 2, "manifests": [{"mediaType": "'$type'.manifest.v1+json", '"$manifest"',
  "annotations": {"org.opencontainers.image.ref.name": "built"}}]}' >image/index.json

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/google/go-containerregistry v0.22.1
	github.com/opencontainers/umoci v0.6.0
	github.com/regclient/regclient v0.11.7
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	umoci "github.com/opencontainers/umoci/mutate"
	"github.com/opencontainers/umoci/oci/cas/dir"
	"github.com/opencontainers/umoci/oci/casext"
	"github.com/regclient/regclient"
	"github.com/regclient/regclient/mod"
	"github.com/regclient/regclient/types/ref"
)

var label = map[string]string{"set": "yes"}

func main() {
	ctx := context.Background()
	image := tagged("built")
	show("before", image)
	file, err := image.ConfigFile()
	check(err)
	config := *file.Config.DeepCopy()
	config.Labels = label
	mutated, err := mutate.Config(image, config)
	check(err)
	show("go-containerregistry", mutated)

	built, err := ref.New("ocidir://image:built")
	check(err)
	labelled, err := ref.New("ocidir://image:labelled")
	check(err)
	_, err = mod.Apply(ctx, regclient.New(), built, mod.WithRefTgt(labelled), mod.WithLabel("set", "yes"))
	check(err)
	show("regclient", tagged("labelled"))

	engine, err := dir.Open("image")
	check(err)
	extended := casext.NewEngine(engine)
	paths, err := extended.ResolveReference(ctx, "built")
	check(err)
	mutator, err := umoci.New(extended, paths[0])
	check(err)
	old, err := mutator.Config(ctx)
	check(err)
	old.Config.Labels = label
	meta, err := mutator.Meta(ctx)
	check(err)
	check(mutator.Set(ctx, old.Config, meta, nil, nil))
	path, err := mutator.Commit(ctx)
	check(err)
	check(extended.UpdateReference(ctx, "configured", path.Root()))
	show("umoci", tagged("configured"))
}

func tagged(tag string) v1.Image {
	index, err := layout.ImageIndexFromPath("image")
	check(err)
	manifest, err := index.IndexManifest()
	check(err)
	for _, entry := range manifest.Manifests {
		if entry.Annotations["org.opencontainers.image.ref.name"] == tag {
			image, err := index.Image(entry.Digest)
			check(err)
			return image
		}
	}
	panic(tag)
}

func show(what string, image v1.Image) {
	raw, err := image.RawConfigFile()
	check(err)
	var file struct{ Config map[string]any }
	check(json.Unmarshal(raw, &file))
	fmt.Println(what, file.Config)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
before map[Healthcheck:map[Interval:6e+10 StartInterval:1e+09 Test:[CMD probe]] OnBuild:[RUN make] Shell:[/bin/bash -c] StopTimeout:30]
go-containerregistry map[Healthcheck:map[Interval:6e+10 Test:[CMD probe]] Labels:map[set:yes] OnBuild:[RUN make] Shell:[/bin/bash -c]]
regclient map[Healthcheck:map[Interval:6e+10 Test:[CMD probe]] Labels:map[set:yes] OnBuild:[RUN make] Shell:[/bin/bash -c] StopTimeout:30]
umoci map[Labels:map[set:yes]]
SEEN
