#!/usr/bin/env bash
# The JSON form of a Dockerfile's instructions in dockerfile-ast 0.7.1, the parser of the
# language server that editors use and of scanners: the value that it gives for a string is
# without the spaces in that string, and without the backslash and letter of an escape.
#
#   CMD ["sh", "-c", "echo a b"]: the last argument is echoab, for getValue and getJSONValue
#   COPY ["my file", "/to here/"]: copies myfile to /tohere/
#   beside it: with a registry that has a port, a tag before a digest is part of the name
#
# Docker reads the strings as JSON. The ranges are right: take the text of the file instead.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund dockerfile-ast@0.7.1
cat >probe.js <<'JS'
const { DockerfileParser } = require('dockerfile-ast')
const lines = ['CMD ["sh", "-c", "echo a b"]', 'COPY ["my file", "/to here/"]', 'CMD ["tab\\tstop", "\\u0041"]']
for (const line of lines) {
  const [, instruction] = DockerfileParser.parse(`FROM scratch\n${line}\n`).getInstructions()
  console.log(line)
  console.log(' is', ...JSON.parse(line.slice(line.indexOf('['))).map(value => JSON.stringify(value)))
  console.log(' as', ...instruction.getJSONStrings().map(string => JSON.stringify(string.getJSONValue())))
  const text = line => string => line.slice(string.getRange().start.character, string.getRange().end.character)
  console.log(' at', ...instruction.getJSONStrings().map(text(line)))
}
for (const host of ['registry.test/', 'registry.test:5000/']) {
  const [from] = DockerfileParser.parse(`FROM ${host}app:1@sha256:${'0'.repeat(64)}\n`).getFROMs()
  console.log(`FROM ${host}app:1@sha256:...`, from.getImageName(), from.getImageTag())
}
JS
diff - <(node probe.js) <<'SEEN' && echo 'as described'
CMD ["sh", "-c", "echo a b"]
 is "sh" "-c" "echo a b"
 as "sh" "-c" "echoab"
 at "sh" "-c" "echo a b"
COPY ["my file", "/to here/"]
 is "my file" "/to here/"
 as "myfile" "/tohere/"
 at "my file" "/to here/"
CMD ["tab\tstop", "\u0041"]
 is "tab\tstop" "A"
 as "tabstop" "0041"
 at "tab\tstop" "\u0041"
FROM registry.test/app:1@sha256:... app 1
FROM registry.test:5000/app:1@sha256:... app:1 null
SEEN
