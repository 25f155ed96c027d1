#!/usr/bin/env bash
# The same plain scalars in two majors of js-yaml, the YAML parser of most programs for
# Node.js, GitHub's container hooks for Kubernetes among them:
#
#   4.1.0: -.5 and +.5 are text; 1_000 is 1000, 0b11 is 3, 2001-02-03 is a Date, and
#     << merges a mapping
#   5.5.0: -.5 and +.5 are numbers; 1_000, 0b11 and 2001-02-03 are text, and << is a
#     key like any other
#
# A template that is read by a program of either major means two things.
# Needs Node.js with npm and its registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund --prefix four js-yaml@4.1.0
npm install --silent --no-audit --no-fund --prefix five js-yaml@5.5.0
cat >probe.js <<'JS'
const yaml = require(process.argv[2])
const kind = value => value instanceof Date ? 'Date' : typeof value
for (const scalar of ['-.5', '+.5', '1_000', '0b11', '2001-02-03']) {
  console.log(scalar, kind(yaml.load(`a: ${scalar}`).a))
}
const merged = yaml.load('base: &b {x: 1}\nuse: {<<: *b}')
console.log('<<', JSON.stringify(merged.use))
JS
diff - <(node probe.js ./four/node_modules/js-yaml; node probe.js ./five/node_modules/js-yaml) <<'SEEN' && echo 'as described'
-.5 string
+.5 string
1_000 number
0b11 number
2001-02-03 Date
<< {"x":1}
-.5 number
+.5 number
1_000 string
0b11 string
2001-02-03 string
<< {"<<":{"x":1}}
SEEN
