#!/usr/bin/env bash
# Prefixes and suffixes cut from a variable in a Dockerfile. Its reference says that # and %
# cut the shortest match, ## and %% the longest, and that in a pattern * is any number of
# characters and ? any one:
#
#   buildkit v0.34.2 (Docker): as the reference says
#   imagebuilder v1.2.22 (Buildah, Podman): * and ? do not match a slash, so that ${IMAGE##*/}
#     keeps the namespace and ${IMAGE%%/*} the path; # cuts nothing where one character would
#     be left ("v" of "v1" stays, "v" of "v10" goes), and %% cuts no single character; [0-9] is
#     any digit, where the reference knows no such sign
#
# From one Dockerfile two values, both plausible, and no error.
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
	env := []string{"IMAGE=reg.io/team/app", "V1=v1", "V10=v10", "FULL=v1.2"}
	for _, word := range []string{
		"${IMAGE##*/}", "${IMAGE%%/*}", "${IMAGE#reg?io?}",
		"${V1#v}", "${V10#v}", "${V1%%1}", "${V10%%0}", "${FULL#v[0-9]}",
	} {
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
${IMAGE##*/}: buildkit "app", imagebuilder "team/app"
${IMAGE%%/*}: buildkit "reg.io", imagebuilder "reg.io/team"
${IMAGE#reg?io?}: buildkit "team/app", imagebuilder "reg.io/team/app"
${V1#v}: buildkit "1", imagebuilder "v1"
${V10#v}: buildkit "10", imagebuilder "10"
${V1%%1}: buildkit "v", imagebuilder "v1"
${V10%%0}: buildkit "v1", imagebuilder "v10"
${FULL#v[0-9]}: buildkit "v1.2", imagebuilder ".2"
SEEN
