#!/usr/bin/env bash
# One workflow's plain scalars, read by GitHub's own parser and by act, which people run
# to try a workflow before they push it:
#
#   @actions/workflow-parser 0.3.61: a plain number or boolean is a value, so that env
#     gets it written anew: 3.10 is "3.1", 0x10 is "16", 010 is "10", TRUE is "true"
#   nektos/act v0.2.89: env gets the characters of the file, "3.10"; in a matrix 010 is
#     8 (GitHub: 10), 1_0 is 10 (GitHub: text), and 2026-01-02 is a time
#
# The missing quotes around 3.10 break only the real run: act shows what was meant.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >workflow.yml <<'YAML'
on: push
env: {a: 3.10, b: 0x10, c: 010, d: TRUE}
jobs:
  probe:
    runs-on: ubuntu-latest
    strategy: {matrix: {v: [010, 1_0, 2026-01-02]}}
    steps: [{run: "true"}]
YAML
npm install --silent --no-audit --no-fund @actions/workflow-parser@0.3.61
# Node.js imports JSON only with an attribute, which the package leaves to bundlers.
sed -i 's/\.min\.json"/& with {type: "json"}/' node_modules/@actions/workflow-parser/dist/*/*-schema.js
cat >probe.mjs <<'JS'
import { readFileSync } from 'node:fs'
import { NoOperationTraceWriter, parseWorkflow } from '@actions/workflow-parser'

const file = { name: 'workflow.yml', content: readFileSync('workflow.yml', 'utf8') }
const { value } = parseWorkflow(file, new NoOperationTraceWriter())
const plain = token => token.map
  ? Object.fromEntries(token.map.map(({ Key, Value }) => [Key, plain(Value)]))
  : token.seq ? token.seq.map(plain) : token
const workflow = plain(JSON.parse(JSON.stringify(value)))
console.log(JSON.stringify(workflow.env), JSON.stringify(workflow.jobs.probe.strategy.matrix.v))
JS
cat >go.mod <<'MOD'
module probe

go 1.26.0

require github.com/nektos/act v0.2.89
MOD
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/nektos/act/pkg/model"
)

func main() {
	file, err := os.Open("workflow.yml")
	check(err)
	workflow, err := model.ReadWorkflow(file, true)
	check(err)
	env, err := json.Marshal(workflow.Env)
	check(err)
	matrix, err := json.Marshal(workflow.Jobs["probe"].Matrix()["v"])
	check(err)
	os.Stdout.WriteString(string(env) + " " + string(matrix) + "\n")
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
GO
GOFLAGS=-mod=mod go build -o act . 2>/dev/null
diff - <(node --no-warnings probe.mjs; ./act) <<'SEEN' && echo 'as described'
{"a":"3.1","b":"16","c":"10","d":"true"} [10,"1_0","2026-01-02"]
{"a":"3.10","b":"0x10","c":"010","d":"TRUE"} [8,10,"2026-01-02T00:00:00Z"]
SEEN
