#!/usr/bin/env bash
# Two variables on one line of a Dockerfile, of which the second is made from the first, once with
# ARG and once with ENV. The reference says of ENV alone that the values are those from before
# the line:
#
#   buildkit v0.34.2 (Docker): ENV so; of an ARG the second has the new value of the first
#   imagebuilder v1.2.22 (Buildah, Podman): ARG as ENV, the first is empty in the second
#
# "ARG VERSION=1.2 URL=https://example.com/$VERSION" is a download with Docker and a wrong
# address elsewhere; and when such an ARG becomes an ENV, its value changes with Docker, too.
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
ARG A=new A2=of-$A
ENV B=new B2=of-$B
LABEL arg=$A2 env=$B2
`

func main() {
	built, err := dockerfile2llb.Dockerfile2LLB(context.Background(), []byte(dockerfile), dockerfile2llb.ConvertOpt{})
	check(err)
	fmt.Println("buildkit", built.Image.Config.Labels)

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
	fmt.Println("imagebuilder", builder.Config().Labels)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
buildkit map[arg:of-new env:of-]
imagebuilder map[arg:of- env:of-]
SEEN
