#!/usr/bin/env bash
# A dollar sign written twice in a Dockerfile, as a Makefile or Compose file escapes it:
#
#   buildkit v0.34.2 (Docker): $$ is the shell's own number, which a build has not, so both
#     signs are gone and the name after them stands as text: ENV A=$$HOME is HOME
#   imagebuilder v1.2.22 (Buildah, Podman): $ and then the variable: ENV A=$$HOME is $/root
#
# Neither leaves one dollar sign before the name; \$ does, in both.
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
	"fmt"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/openshift/imagebuilder"
)

func main() {
	env := []string{"HOME=/root"}
	for _, word := range []string{`$$HOME`, `"$${HOME}"`, `cost=5$$`, `$@`, `$-`, `\$HOME`} {
		docker, _, err := shell.NewLex('\\').ProcessWord(word, shell.EnvsFromSlice(env))
		check(err)
		buildah, err := imagebuilder.ProcessWord(word, env)
		check(err)
		fmt.Printf("%s: buildkit %q, imagebuilder %q\n", word, docker, buildah)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
$$HOME: buildkit "HOME", imagebuilder "$/root"
"$${HOME}": buildkit "{HOME}", imagebuilder "$/root"
cost=5$$: buildkit "cost=5", imagebuilder "cost=5$$"
$@: buildkit "", imagebuilder "$@"
$-: buildkit "", imagebuilder "$-"
\$HOME: buildkit "$HOME", imagebuilder "$HOME"
SEEN
