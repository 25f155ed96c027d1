#!/usr/bin/env bash
# hashFiles('go.sum') with a go.sum at the top and another one in tools/, as GitHub's own
# library answers it and as act does, which people run to try a workflow before they push:
#
#   @actions/glob 0.7.0: the file at the top alone; **/go.sum for both
#   nektos/act v0.2.89: both, for the pattern is read as a line of a .gitignore, where a
#     name without a slash matches at any depth
#
# A cache key that holds still on GitHub changes under act with any go.sum in the tree (a
# package-lock.json in node_modules is enough), and the other way round a key that misses
# the file in tools/ looks right until the workflow runs on GitHub.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @actions/glob@0.7.0
cat >probe.mjs <<'JS'
import { hashFiles } from '@actions/glob'

console.log(await hashFiles(process.argv[2], process.cwd() + '/tree'))
JS
cat >go.mod <<'MOD'
module probe

go 1.26.0

require github.com/nektos/act v0.2.89
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/nektos/act/pkg/exprparser"
	"github.com/nektos/act/pkg/model"
)

func main() {
	environment := &exprparser.EvaluationEnvironment{Github: &model.GithubContext{Workspace: "tree"}}
	interpreter := exprparser.NewInterpeter(environment, exprparser.Config{WorkingDir: "tree"})
	hash, err := interpreter.Evaluate("hashFiles('"+os.Args[1]+"')", exprparser.DefaultStatusCheckNone)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hash)
}
GO
GOFLAGS=-mod=mod go build -o act . 2>/dev/null

# moves PATTERN COMMAND...: whether the answer for PATTERN moves with the go.sum in tools/
moves() {
	local pattern=$1 before
	shift
	rm -rf tree && mkdir -p tree/tools
	echo one | tee tree/go.sum >tree/tools/go.sum
	before=$("$@" "$pattern" | grep -xE '[0-9a-f]{64}')
	echo two >tree/tools/go.sum
	[[ $("$@" "$pattern" | grep -xE '[0-9a-f]{64}') != "$before" ]] && echo "$pattern moves" || echo "$pattern stays"
}
github() { node probe.mjs "$1"; }
diff - <(for of in github ./act; do moves go.sum "$of"; moves '**/go.sum' "$of"; done) <<'SEEN' && echo 'as described'
go.sum stays
**/go.sum moves
go.sum moves
**/go.sum moves
SEEN
