#!/usr/bin/env bash
# "test" of a JSON patch, which RFC 6902 (section 4.6) lets compare values, not their spelling:
# texts are equal that have the same characters, numbers that are numerically equal.
#
#   gopkg.in/evanphx/json-patch.v4 v4.13.0 (API server, kubectl patch --type=json): compares
#     the bytes, and Kubernetes' encoder writes <, > and & as escapes, so that a test for a
#     text with one of them fails whatever is stored; 1.0 is not 1
#   evanphx/json-patch v5.9.11: the text passes, the number does not
#   fast-json-patch 3.1.1 for Node.js: both pass
#   both of evanphx: a test for null passes where there is no such member; RFC 6902 wants the
#     location to exist, and fast-json-patch refuses it
#
# A guarded patch of a ConfigMap with "a && b" in it is refused, as if somebody had changed it.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund fast-json-patch@3.1.1
cat >probe.js <<'JS'
const { applyPatch } = require('fast-json-patch')
const [stored, ...patches] = require('fs').readFileSync(0, 'utf8').trim().split('\n')
for (const patch of patches) {
  let answer = 'passes'
  try { applyPatch(JSON.parse(stored), JSON.parse(patch), true) } catch { answer = 'fails' }
  console.log(`fast-json-patch: ${patch} ${answer}`)
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/evanphx/json-patch/v5 v5.9.11
	gopkg.in/evanphx/json-patch.v4 v4.13.0
	k8s.io/api v0.37.2
	k8s.io/apimachinery v0.37.2
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
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

var patches = []string{
	`[{"op":"test","path":"/data/plain","value":"a and b"}]`,
	`[{"op":"test","path":"/data/signs","value":"a && b"}]`,
	`[{"op":"test","path":"/metadata/generation","value":1.0}]`,
	`[{"op":"test","path":"/data/none","value":null}]`,
}

func main() {
	scheme := runtime.NewScheme()
	check(core.AddToScheme(scheme))
	object := &core.ConfigMap{Data: map[string]string{"plain": "a and b", "signs": "a && b"}}
	object.Generation = 1
	stored, err := runtime.Encode(serializer.NewCodecFactory(scheme).LegacyCodec(core.SchemeGroupVersion), object)
	check(err)

	for _, text := range patches {
		patch, err := v4.DecodePatch([]byte(text))
		check(err)
		_, err = patch.Apply(stored)
		fmt.Println("json-patch.v4:", text, answer(err))
	}
	for _, text := range patches {
		patch, err := v5.DecodePatch([]byte(text))
		check(err)
		_, err = patch.Apply(stored)
		fmt.Println("json-patch/v5:", text, answer(err))
	}
	node := exec.Command("node", "probe.js")
	node.Stdin = strings.NewReader(strings.TrimSpace(string(stored)) + "\n" + strings.Join(patches, "\n"))
	node.Stdout, node.Stderr = os.Stdout, os.Stderr
	check(node.Run())
}

func answer(err error) string {
	if err != nil {
		return "fails"
	}
	return "passes"
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
json-patch.v4: [{"op":"test","path":"/data/plain","value":"a and b"}] passes
json-patch.v4: [{"op":"test","path":"/data/signs","value":"a && b"}] fails
json-patch.v4: [{"op":"test","path":"/metadata/generation","value":1.0}] fails
json-patch.v4: [{"op":"test","path":"/data/none","value":null}] passes
json-patch/v5: [{"op":"test","path":"/data/plain","value":"a and b"}] passes
json-patch/v5: [{"op":"test","path":"/data/signs","value":"a && b"}] passes
json-patch/v5: [{"op":"test","path":"/metadata/generation","value":1.0}] fails
json-patch/v5: [{"op":"test","path":"/data/none","value":null}] passes
fast-json-patch: [{"op":"test","path":"/data/plain","value":"a and b"}] passes
fast-json-patch: [{"op":"test","path":"/data/signs","value":"a && b"}] passes
fast-json-patch: [{"op":"test","path":"/metadata/generation","value":1.0}] passes
fast-json-patch: [{"op":"test","path":"/data/none","value":null}] fails
SEEN
