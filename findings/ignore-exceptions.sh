#!/usr/bin/env bash
# An exception in a .dockerignore that begins with a slash or has a space after its sign. Docker
# documents of the file that a leading slash has no meaning, since the root of the context is
# also its root, and that spaces are trimmed before anything is matched:
#
#   moby/patternmatcher v0.6.1 (Docker): "!/src" and "! /src/" take src back, like "!src"
#   imagebuilder v1.2.22 (Buildah, Podman), which reads the file itself: neither takes it
#     back, for what the matcher is given is "/src"
#
# With "*" in the line above everything is ignored, and COPY src finds no file.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/moby/patternmatcher v0.6.1
	github.com/openshift/imagebuilder v1.2.22
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/openshift/imagebuilder"
)

func main() {
	for _, file := range []string{"*\n!/src\n", "*\n!src\n", "*\n! /src/\n", "/src\n"} {
		fmt.Printf("%q: patternmatcher %s, imagebuilder %s\n", file,
			src(file, ignorefile.ReadAll), src(file, imagebuilder.ParseIgnoreReader))
	}
}

// src tells what becomes of src with a file of patterns, read by read.
func src(file string, read func(io.Reader) ([]string, error)) string {
	patterns, err := read(strings.NewReader(file))
	check(err)
	matcher, err := patternmatcher.New(patterns)
	check(err)
	ignored, err := matcher.MatchesOrParentMatches("src")
	check(err)
	if ignored {
		return fmt.Sprintf("%q ignores it", patterns)
	}
	return fmt.Sprintf("%q keeps it", patterns)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
"*\n!/src\n": patternmatcher ["*" "!src"] keeps it, imagebuilder ["*" "!/src"] ignores it
"*\n!src\n": patternmatcher ["*" "!src"] keeps it, imagebuilder ["*" "!src"] keeps it
"*\n! /src/\n": patternmatcher ["*" "!src"] keeps it, imagebuilder ["*" "! /src"] ignores it
"/src\n": patternmatcher ["src"] ignores it, imagebuilder ["src"] ignores it
SEEN
