#!/usr/bin/env bash
# A Dockerfile that sets another shell with SHELL, which by its reference is for the shell form
# of commands, and what the image's configuration has for CMD and ENTRYPOINT in that form:
#
#   buildkit v0.34.2 (Docker): the shell that was set
#   imagebuilder v1.2.22 (Buildah, Podman): /bin/sh -c; the other shell stands beside it
#
# A command with [[, or with a pipe under "-o pipefail", works in the image that Docker builds;
# in the other one it fails, or hides a failure, when the container starts.
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
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/openshift/imagebuilder"
)

const dockerfile = `FROM scratch
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
CMD serve | log
ENTRYPOINT start | log
`

func main() {
	built, err := dockerfile2llb.Dockerfile2LLB(context.Background(), []byte(dockerfile), dockerfile2llb.ConvertOpt{})
	check(err)
	fmt.Printf("buildkit, CMD: %q\n", built.Image.Config.Cmd)
	fmt.Printf("buildkit, ENTRYPOINT: %q\n", built.Image.Config.Entrypoint)

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
	fmt.Printf("imagebuilder, CMD: %q\n", builder.Config().Cmd)
	fmt.Printf("imagebuilder, ENTRYPOINT: %q\n", builder.Config().Entrypoint)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
buildkit, CMD: ["/bin/bash" "-o" "pipefail" "-c" "serve | log"]
buildkit, ENTRYPOINT: ["/bin/bash" "-o" "pipefail" "-c" "start | log"]
imagebuilder, CMD: ["/bin/sh" "-c" "serve | log"]
imagebuilder, ENTRYPOINT: ["/bin/sh" "-c" "start | log"]
SEEN
