#!/usr/bin/env bash
# A JSON merge patch with a null inside an array. RFC 7386 (section 2) merges objects alone: any
# other value of the patch replaces what was there, as it stands.
#
#   json-merge-patch 1.0.2 for Node.js: the array is as in the patch, nulls and all
#   evanphx/json-patch, gopkg.in v4.13.0 (API server, kubectl patch --type=merge) and v5.9.11:
#     members of objects in the array that are null are taken out
#   gopkg.in v4.13.0: a patch that is a text or null, as in the RFC's appendix, is an error
#
# A custom resource that tells null from absent cannot get a null into a list this way, and
# the answer is 200.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund json-merge-patch@1.0.2
cat >probe.js <<'JS'
const { apply } = require('json-merge-patch')
for (const line of require('fs').readFileSync(0, 'utf8').split('\n')) {
  const [target, patch] = line.split(' + ')
  console.log(`json-merge-patch: ${line} is ${JSON.stringify(apply(JSON.parse(target), JSON.parse(patch)))}`)
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/evanphx/json-patch/v5 v5.9.11
	gopkg.in/evanphx/json-patch.v4 v4.13.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	v5 "github.com/evanphx/json-patch/v5"
	v4 "gopkg.in/evanphx/json-patch.v4"
)

// cases are a document and a patch each.
var cases = []string{
	`{"a":[{"b":1}]} + {"a":[{"b":null,"c":[{"d":null},null]}]}`,
	`{"a":"b"} + {"a":{"b":null}}`,
	`{"a":"foo"} + "bar"`,
	`{"a":"foo"} + null`,
}

func main() {
	for _, library := range []struct {
		name  string
		merge func(document, patch []byte) ([]byte, error)
	}{{"json-patch.v4", v4.MergePatch}, {"json-patch/v5", v5.MergePatch}} {
		for _, text := range cases {
			document, patch, _ := strings.Cut(text, " + ")
			merged, err := library.merge([]byte(document), []byte(patch))
			if err != nil {
				merged = []byte(err.Error())
			}
			fmt.Printf("%s: %s is %s\n", library.name, text, merged)
		}
	}
	node := exec.Command("node", "probe.js")
	node.Stdin = strings.NewReader(strings.Join(cases, "\n"))
	node.Stdout, node.Stderr = os.Stdout, os.Stderr
	if err := node.Run(); err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
json-patch.v4: {"a":[{"b":1}]} + {"a":[{"b":null,"c":[{"d":null},null]}]} is {"a":[{"c":[{},null]}]}
json-patch.v4: {"a":"b"} + {"a":{"b":null}} is {"a":{}}
json-patch.v4: {"a":"foo"} + "bar" is Invalid JSON Patch
json-patch.v4: {"a":"foo"} + null is Invalid JSON Patch
json-patch/v5: {"a":[{"b":1}]} + {"a":[{"b":null,"c":[{"d":null},null]}]} is {"a":[{"c":[{},null]}]}
json-patch/v5: {"a":"b"} + {"a":{"b":null}} is {"a":{}}
json-patch/v5: {"a":"foo"} + "bar" is "bar"
json-patch/v5: {"a":"foo"} + null is null
json-merge-patch: {"a":[{"b":1}]} + {"a":[{"b":null,"c":[{"d":null},null]}]} is {"a":[{"b":null,"c":[{"d":null},null]}]}
json-merge-patch: {"a":"b"} + {"a":{"b":null}} is {"a":{}}
json-merge-patch: {"a":"foo"} + "bar" is "bar"
json-merge-patch: {"a":"foo"} + null is null
SEEN
