#!/usr/bin/env bash
# A variable that ENV sets before ARG declares it with a default. The Dockerfile reference
# (section ARG, "Using ARG variables") says that ENV always overrides an ARG of that name:
#
#   buildkit v0.34.2 (Docker): the default of ARG counts from there on, in later instructions
#     and for RUN; the image's configuration keeps the value of ENV
#   imagebuilder v1.2.22 (Buildah, Podman): the value of ENV, as the reference says
#
# In one build the command of RUN sees another value than a container of the image does.
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
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/openshift/imagebuilder"
)

const dockerfile = `FROM scratch
ENV MODE=env
ARG MODE=arg
LABEL seen=$MODE
RUN ["/bin/true"]
`

func main() {
	built, err := dockerfile2llb.Dockerfile2LLB(context.Background(), []byte(dockerfile), dockerfile2llb.ConvertOpt{})
	check(err)
	fmt.Println("buildkit, image:", mode(built.Image.Config.Env))
	fmt.Println("buildkit, label:", built.Image.Config.Labels["seen"])
	fmt.Println("buildkit, run:", mode(ran(built.State)))

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
	fmt.Println("imagebuilder, image:", mode(builder.Config().Env))
	fmt.Println("imagebuilder, label:", builder.Config().Labels["seen"])
}

// ran is the environment of the only command in state.
func ran(state llb.State) []string {
	definition, err := state.Marshal(context.Background())
	check(err)
	for _, bytes := range definition.Def {
		var op pb.Op
		check(op.UnmarshalVT(bytes))
		if exec := op.GetExec(); exec != nil {
			return exec.Meta.Env
		}
	}
	return nil
}

func mode(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(pair string) bool { return !strings.HasPrefix(pair, "MODE=") })
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
buildkit, image: [MODE=env]
buildkit, label: arg
buildkit, run: [MODE=arg]
imagebuilder, image: [MODE=env]
imagebuilder, label: env
SEEN
