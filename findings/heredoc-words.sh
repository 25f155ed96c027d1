#!/usr/bin/env bash
# Lines of a Dockerfile with << and a name in them, as a shell has it: in the quotes of a command
# for another shell, after a number, and with a space in the quotes of the name:
#
#   buildkit v0.34.2 (Docker): the first begins no here-document, the other two do
#   dockerfile-ast 0.7.1, the parser of the language server that editors use and of scanners:
#     << in quotes begins a document, and the rest of the file is its text; 3<<EOF begins
#     none, and of a name with a space the first word counts; text is read as instructions
#
# A scanner does not see the last USER, or sees one that is text of a script.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

printf "FROM scratch\nRUN bash -c 'cat <<EOF'\nUSER app\n" >quoted
printf 'FROM scratch\nRUN cat 3<<EOF\nUSER root\nEOF\nUSER app\n' >numbered
printf 'FROM scratch\nRUN cat <<"THE END"\nUSER root\nTHE END\nUSER app\n' >spaced
npm install --silent --no-audit --no-fund dockerfile-ast@0.7.1
cat >probe.js <<'JS'
const { readFileSync } = require('node:fs')
const { DockerfileParser } = require('dockerfile-ast')
for (const name of ['quoted', 'numbered', 'spaced']) {
  const lines = DockerfileParser.parse(readFileSync(name, 'utf8')).getInstructions()
  console.log('dockerfile-ast', name, ...lines.map((line) => line.getKeyword()))
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/moby/buildkit v0.34.2
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func main() {
	for _, name := range []string{"quoted", "numbered", "spaced"} {
		file, err := os.Open(name)
		if err != nil {
			log.Fatal(err)
		}
		parsed, err := parser.Parse(file)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print("buildkit ", name)
		for _, line := range parsed.AST.Children {
			fmt.Print(" ", line.Value)
		}
		fmt.Println()
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . && node probe.js) <<'SEEN' && echo 'as described'
buildkit quoted FROM RUN USER
buildkit numbered FROM RUN USER
buildkit spaced FROM RUN USER
dockerfile-ast quoted FROM RUN
dockerfile-ast numbered FROM RUN USER EOF USER
dockerfile-ast spaced FROM RUN USER THE USER
SEEN
