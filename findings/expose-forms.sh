#!/usr/bin/env bash
# Ports of a Dockerfile's EXPOSE in the image's configuration. The image specification takes
# three forms there: port/tcp, port/udp, and port alone.
#
#   buildkit v0.34.2 (Docker): a range is every port of it, and a protocol is in small letters
#   imagebuilder v1.2.22 (Buildah, Podman): each as it is written, with /tcp behind it where
#     no protocol is named
#
# What publishes all exposed ports, or waits for each, finds names that are no ports.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/moby/buildkit v0.34.2
	github.com/openshift/imagebuilder v1.2.22
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/openshift/imagebuilder"
)

func main() {
	for _, ports := range []string{"80 53/udp", "8000-8002", "53/UDP"} {
		dockerfile := "FROM scratch\nEXPOSE " + ports + "\n"
		built, err := dockerfile2llb.Dockerfile2LLB(context.Background(), []byte(dockerfile), dockerfile2llb.ConvertOpt{})
		check(err)
		fmt.Println(ports+", buildkit:", slices.Sorted(maps.Keys(built.Image.Config.ExposedPorts)))
		fmt.Println(ports+", imagebuilder:", slices.Sorted(maps.Keys(exposed(dockerfile))))
	}
}

func exposed(dockerfile string) map[string]bool {
	node, err := imagebuilder.ParseDockerfile(strings.NewReader(dockerfile))
	check(err)
	stages, err := imagebuilder.NewStages(node, imagebuilder.NewBuilder(nil))
	check(err)
	builder := stages[0].Builder
	_, err = builder.From(stages[0].Node)
	check(err)
	for _, line := range stages[0].Node.Children {
		step := builder.Step()
		check(step.Resolve(line))
		check(builder.Run(step, imagebuilder.NoopExecutor, false))
	}
	ports := map[string]bool{}
	for port := range builder.Config().ExposedPorts {
		ports[string(port)] = true
	}
	return ports
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
80 53/udp, buildkit: [53/udp 80/tcp]
80 53/udp, imagebuilder: [53/udp 80/tcp]
8000-8002, buildkit: [8000/tcp 8001/tcp 8002/tcp]
8000-8002, imagebuilder: [8000-8002/tcp]
53/UDP, buildkit: [53/udp]
53/UDP, imagebuilder: [53/UDP]
SEEN
