#!/usr/bin/env bash
# A Dockerfile for Windows that begins with two parser directives, syntax and escape, which Docker
# documents for the same place. The latter makes ` the sign of a line that goes on, so that a
# path can end with a backslash:
#
#   buildkit v0.34.2 (Docker): both count
#   imagebuilder v1.2.22 (Buildah, Podman) and docker-file-parser 1.0.7 for Node.js: escape
#     counts in the first line alone; after another directive the instruction that follows the
#     backslash is a part of the one before
#
# No error is raised, the folder has another name, and USER is not set; with escape in front
# all is as it is meant.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

instructions='FROM windows
WORKDIR C:\app\
USER app'
# shellcheck disable=SC2016 # the backtick is Docker's
printf '# escape=`\n# syntax=docker/dockerfile:1\n%s\n' "$instructions" >escape-first
# shellcheck disable=SC2016 # the backtick is Docker's
printf '# syntax=docker/dockerfile:1\n# escape=`\n%s\n' "$instructions" >syntax-first
npm install --silent --no-audit --no-fund docker-file-parser@1.0.7
cat >probe.js <<'JS'
const { readFileSync } = require('node:fs')
const { parse } = require('docker-file-parser')
for (const name of ['escape-first', 'syntax-first']) {
  console.log(`docker-file-parser ${name}:`, ...parse(readFileSync(name, 'utf8')).map((line) => `[${line.raw}]`))
}
JS
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
	"os"

	buildkit "github.com/moby/buildkit/frontend/dockerfile/parser"
	imagebuilder "github.com/openshift/imagebuilder/dockerfile/parser"
)

func main() {
	for _, name := range []string{"escape-first", "syntax-first"} {
		parsed, err := buildkit.Parse(open(name))
		check(err)
		fmt.Printf("buildkit %s:", name)
		for _, line := range parsed.AST.Children {
			fmt.Print(" [", line.Original, "]")
		}
		read, err := imagebuilder.Parse(open(name))
		check(err)
		fmt.Printf("\nimagebuilder %s:", name)
		for _, line := range read.AST.Children {
			fmt.Print(" [", line.Original, "]")
		}
		fmt.Println()
	}
}

func open(name string) *os.File {
	file, err := os.Open(name)
	check(err)
	return file
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . && node probe.js) <<'SEEN' && echo 'as described'
buildkit escape-first: [FROM windows] [WORKDIR C:\app\] [USER app]
imagebuilder escape-first: [FROM windows] [WORKDIR C:\app\] [USER app]
buildkit syntax-first: [FROM windows] [WORKDIR C:\app\] [USER app]
imagebuilder syntax-first: [FROM windows] [WORKDIR C:\appUSER app]
docker-file-parser escape-first: [FROM windows] [WORKDIR C:\app\] [USER app]
docker-file-parser syntax-first: [FROM windows] [WORKDIR C:\appUSER app]
SEEN
