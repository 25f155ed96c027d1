#!/usr/bin/env bash
# Patterns of a .dockerignore with signs that mean something in a regular expression and
# nothing in a pattern, read by Docker's matcher and by the one for Node.js that packs build
# contexts in Testcontainers and hashes them in AWS CDK:
#
#   moby/patternmatcher v0.6.1: text
#   @balena/dockerignore 1.0.2: ( ) | + { } are not escaped; "report(1).pdf" is what ignores
#     report1.pdf and not report(1).pdf, and "in|out" ignores every name that has either at
#     an end
#
# A file that is meant to stay out is in the context, or one that a COPY names is not.
# A line of the output is a pattern, a file, and what each of the two says.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @balena/dockerignore@1.0.2
cat >cases.json <<'JSON'
[["report(1).pdf", "report(1).pdf"], ["report(1).pdf", "report1.pdf"], ["libstdc+", "libstdc+"], ["libstdc+", "libstdcc"],
 ["in|out", "in|out"], ["in|out", "index.js"], ["in|out", "src/layout"], ["v{2}", "v{2}"], ["v{2}", "vv"]]
JSON
cat >probe.js <<'JS'
const ignore = require('@balena/dockerignore')
for (const [pattern, file] of require('./cases.json')) {
  console.log(pattern, file, ignore({ ignorecase: false }).add(pattern).ignores(file))
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/moby/patternmatcher v0.6.1
MOD
cat >main.go <<'GO'
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"log"

	"github.com/moby/patternmatcher"
)

//go:embed cases.json
var cases []byte

func main() {
	var pairs [][2]string
	if err := json.Unmarshal(cases, &pairs); err != nil {
		log.Fatal(err)
	}
	for _, pair := range pairs {
		ignored, err := patternmatcher.MatchesOrParentMatches(pair[1], pair[:1])
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(pair[0], pair[1], ignored)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(paste -d' ' <(GOFLAGS=-mod=mod go run .) <(node probe.js | awk '{print $NF}')) <<'SEEN' && echo 'as described'
report(1).pdf report(1).pdf true false
report(1).pdf report1.pdf false true
libstdc+ libstdc+ true false
libstdc+ libstdcc false true
in|out in|out true true
in|out index.js false true
in|out src/layout false true
v{2} v{2} true false
v{2} vv false true
SEEN
