#!/usr/bin/env bash
# Expressions of an admission policy, in the Common Expression Language that Kubernetes has
# them in, by its library and by one for Node.js:
#
#   google/cel-go v0.31.0: the quotient of two integers is one; && and || take their answer
#     from either side, so that an error on the left does not count where the right decides;
#     integers have 64 bits; \" in a string is a quote
#   cel-js 0.8.2: 7 / 2 is 3.5; the left side's error is the answer; integers beyond 53 bits are
#     rounded; an escape stays in the string as it is written
#
# "replicas / 2 * 2 == replicas", which is to allow even numbers, allows all in a test that
# runs on Node.js.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >expressions <<'CEL'
replicas / 2 * 2 == replicas
replicas / 2
2 / zero == 1 && false
2 / zero == 1 || true
9007199254740993 == 9007199254740992
"\u0041" == "A"
"a\"b" == 'a"b'
CEL
npm install --silent --no-audit --no-fund cel-js@0.8.2
cat >probe.mjs <<'JS'
import fs from 'node:fs'
import { evaluate } from 'cel-js'

console.log('cel-js')
for (const expression of fs.readFileSync('expressions', 'utf8').trim().split('\n')) {
  let answer
  try {
    answer = evaluate(expression, { replicas: 7, zero: 0 })
  } catch (error) {
    answer = 'error'
  }
  console.log(`  ${expression}: ${answer}`)
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/google/cel-go v0.31.0
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/google/cel-go/cel"
)

func main() {
	text, err := os.ReadFile("expressions")
	check(err)
	env, err := cel.NewEnv(cel.Variable("replicas", cel.IntType), cel.Variable("zero", cel.IntType))
	check(err)
	fmt.Println("cel-go")
	for expression := range strings.Lines(string(text)) {
		expression = strings.TrimSpace(expression)
		compiled, issues := env.Compile(expression)
		check(issues.Err())
		program, err := env.Program(compiled)
		check(err)
		var answer any = "error"
		if value, _, err := program.Eval(map[string]any{"replicas": 7, "zero": 0}); err == nil {
			answer = value.Value()
		}
		fmt.Printf("  %s: %v\n", expression, answer)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . && node probe.mjs) <<'SEEN' && echo 'as described'
cel-go
  replicas / 2 * 2 == replicas: false
  replicas / 2: 3
  2 / zero == 1 && false: false
  2 / zero == 1 || true: true
  9007199254740993 == 9007199254740992: false
  "\u0041" == "A": true
  "a\"b" == 'a"b': true
cel-js
  replicas / 2 * 2 == replicas: true
  replicas / 2: 3.5
  2 / zero == 1 && false: error
  2 / zero == 1 || true: error
  9007199254740993 == 9007199254740992: true
  "\u0041" == "A": false
  "a\"b" == 'a"b': false
SEEN
