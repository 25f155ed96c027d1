#!/usr/bin/env bash
# JSON patches of a ConfigMap's data, by three packages for Node.js. RFC 6901 has the sign - for
# the end of an array alone, so that in an object it is a name like any other, and RFC 6902
# (section 4.6) takes two objects for equal whatever the order of their members.
#
#   fast-json-patch 3.1.1 and jsonpatch 3.1.0: as the RFCs say
#   immutable-json-patch 6.0.3: add and move to /data/- make a member "undefined", replace and
#     remove leave what is there, each without an error; a test of an object fails when its
#     members stand in another order
#
# A guarded patch is refused though nothing differs, and a change is lost though it was taken.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund fast-json-patch@3.1.1 immutable-json-patch@6.0.3 jsonpatch@3.1.0
cat >probe.mjs <<'JS'
import fast from 'fast-json-patch'
import { immutableJSONPatch } from 'immutable-json-patch'
import jsonpatch from 'jsonpatch'
const libraries = {
  'fast-json-patch': (document, patch) => fast.applyPatch(document, patch).newDocument,
  'immutable-json-patch': immutableJSONPatch,
  jsonpatch: jsonpatch.apply_patch
}
const cases = [
  [{ data: {} }, { op: 'add', path: '/data/-', value: 'x' }],
  [{ data: { '-': 'a' } }, { op: 'replace', path: '/data/-', value: 'x' }],
  [{ data: { '-': 'a' } }, { op: 'remove', path: '/data/-' }],
  [{ data: { b: 'a' } }, { op: 'move', from: '/data/b', path: '/data/-' }],
  [{ data: { a: '1', b: '2' } }, { op: 'test', path: '/data', value: { b: '2', a: '1' } }]
]
for (const [document, operation] of cases) {
  console.log(JSON.stringify(document), JSON.stringify(operation))
  for (const [name, apply] of Object.entries(libraries)) {
    let answer
    try {
      answer = JSON.stringify(apply(structuredClone(document), [operation]))
    } catch (error) {
      answer = error.message
    }
    console.log(`  ${name}: ${answer}`)
  }
}
JS
diff - <(node probe.mjs) <<'SEEN' && echo 'as described'
{"data":{}} {"op":"add","path":"/data/-","value":"x"}
  fast-json-patch: {"data":{"-":"x"}}
  immutable-json-patch: {"data":{"undefined":"x"}}
  jsonpatch: {"data":{"-":"x"}}
{"data":{"-":"a"}} {"op":"replace","path":"/data/-","value":"x"}
  fast-json-patch: {"data":{"-":"x"}}
  immutable-json-patch: {"data":{"-":"a"}}
  jsonpatch: {"data":{"-":"x"}}
{"data":{"-":"a"}} {"op":"remove","path":"/data/-"}
  fast-json-patch: {"data":{}}
  immutable-json-patch: {"data":{"-":"a"}}
  jsonpatch: {"data":{}}
{"data":{"b":"a"}} {"op":"move","from":"/data/b","path":"/data/-"}
  fast-json-patch: {"data":{"-":"a"}}
  immutable-json-patch: {"data":{"undefined":"a"}}
  jsonpatch: {"data":{"-":"a"}}
{"data":{"a":"1","b":"2"}} {"op":"test","path":"/data","value":{"b":"2","a":"1"}}
  fast-json-patch: {"data":{"a":"1","b":"2"}}
  immutable-json-patch: Test failed, value differs (path: "/data")
  jsonpatch: {"data":{"a":"1","b":"2"}}
SEEN
