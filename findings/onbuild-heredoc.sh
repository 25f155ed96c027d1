#!/usr/bin/env bash
# ONBUILD with an instruction that has a here-document. The Dockerfile reference has such a
# document for RUN and COPY, and takes any instruction but FROM, MAINTAINER and ONBUILD for
# a trigger:
#
#   buildkit v0.34.2 (Docker): the trigger in the image's configuration has the document
#   imagebuilder v1.2.22 (Buildah, Podman): the trigger has the first line alone; the document
#     is nowhere in the configuration, and no error is raised
#
# The image builds; what builds on it meets a here-document without an end.
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

func main() {
	for _, trigger := range []string{"RUN <<END\necho one\necho two\nEND", "COPY <<END /etc/motd\nwelcome\nEND", "RUN echo one"} {
		dockerfile := "FROM scratch\nONBUILD " + trigger + "\n"
		built, err := dockerfile2llb.Dockerfile2LLB(context.Background(), []byte(dockerfile), dockerfile2llb.ConvertOpt{})
		check(err)
		fmt.Printf("buildkit %q\n", built.Image.Config.OnBuild)
		fmt.Printf("imagebuilder %q\n", triggers(dockerfile))
	}
}

func triggers(dockerfile string) []string {
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
	return builder.Config().OnBuild
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
buildkit ["RUN <<END\necho one\necho two\nEND"]
imagebuilder ["RUN <<END"]
buildkit ["COPY <<END /etc/motd\nwelcome\nEND"]
imagebuilder ["COPY <<END /etc/motd"]
buildkit ["RUN echo one"]
imagebuilder ["RUN echo one"]
SEEN
