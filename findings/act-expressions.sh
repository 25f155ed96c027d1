#!/usr/bin/env bash
# The same valid conditions, by GitHub's own evaluator and by act, which people run to try
# a workflow before they push it:
#
#   @actions/expressions 0.3.61: == and < bind to the left, so that a == b != c compares
#     the answer of a == b with c; a filter .*.name passes over what has no such key
#   nektos/act v0.2.89: they bind to the right, so that a is compared with the answer of
#     b != c; the filter keeps a null for what has no such key
#
# "Only one of the two", written as ref == 'x' != flag, is true on GitHub and false in act.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >expressions <<'TEXT'
github.ref == 'refs/heads/main' != false
github.ref == 'refs/heads/main' == true
3 > 2 > 1
join(github.event.labels.*.name)
contains(github.event.labels.*.name, '')
TEXT
cat >github.json <<'JSON'
{"ref": "refs/heads/main", "event": {"labels": [{"name": "bug"}, {"id": 7}]}}
JSON
npm install --silent --no-audit --no-fund @actions/expressions@0.3.61
cat >probe.mjs <<'JS'
import { readFileSync } from 'node:fs'
import { Evaluator, Lexer, Parser, data } from '@actions/expressions'

const github = readFileSync('github.json', 'utf8')
const context = JSON.parse(`{"github": ${github}}`, data.reviver)
for (const line of readFileSync('expressions', 'utf8').trim().split('\n')) {
  const expression = new Parser(new Lexer(line).lex().tokens, ['github'], []).parse()
  console.log(JSON.stringify(new Evaluator(expression, context).evaluate(), data.replacer))
}
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
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/nektos/act/pkg/exprparser"
	"github.com/nektos/act/pkg/model"
)

func main() {
	var github model.GithubContext
	text, err := os.ReadFile("github.json")
	check(err)
	check(json.Unmarshal(text, &github))
	interpreter := exprparser.NewInterpeter(&exprparser.EvaluationEnvironment{Github: &github}, exprparser.Config{})
	lines, err := os.ReadFile("expressions")
	check(err)
	for line := range strings.Lines(string(lines)) {
		value, err := interpreter.Evaluate(strings.TrimSpace(line), exprparser.DefaultStatusCheckNone)
		check(err)
		seen, err := json.Marshal(value)
		check(err)
		fmt.Println(string(seen))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
GO
GOFLAGS=-mod=mod go build -o act . 2>/dev/null
diff - <(paste -d ' ' <(node probe.mjs) <(./act)) <<'SEEN' && echo 'as described'
true false
true false
false true
"bug" "bug,"
false true
SEEN
