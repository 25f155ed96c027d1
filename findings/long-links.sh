#!/usr/bin/env bash
# A layer with a link whose target has more than 100 characters, which GNU tar writes into an
# entry of its own before the link (its own format) or a record of the extended header (POSIX):
#
#   GNU tar, modern-tar 0.8.6 and tar-stream 3.2.2: the link has its name and the target
#   nanotar 0.3.0: the link has the target's name, for either format, and its own is lost; of a
#     file with a name as long it has the name
#   @remix-run/tar-parser 0.7.1: in GNU tar's own format such names and targets end with a zero
#     byte, which is the text's end there and no part of it
#
# A list of an image's files has one file twice and lacks the link, or names that match nothing.
# Needs GNU tar, Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @remix-run/tar-parser@0.7.1 modern-tar@0.8.6 nanotar@0.3.0 tar-stream@3.2.2
long=$(printf 'x%.0s' {1..120})
touch "$long"
ln -s "$long" link
for format in posix gnu; do tar --format=$format -cf $format.tar "$long" link; done
cat >probe.mjs <<'JS'
import { parseTar as remix } from '@remix-run/tar-parser'
import { readFileSync } from 'node:fs'
import { unpackTar } from 'modern-tar'
import { parseTar } from 'nanotar'
import { extract } from 'tar-stream'

for (const format of ['posix', 'gnu']) {
  const content = readFileSync(`${format}.tar`)
  const seen = { 'modern-tar': [], nanotar: [], 'tar-parser': [], 'tar-stream': [] }
  for (const { header } of await unpackTar(content)) seen['modern-tar'].push([header.name, header.linkname])
  for (const { name } of parseTar(content)) seen.nanotar.push([name])
  await remix(content, ({ name, header }) => { seen['tar-parser'].push([name, header.linkname]) })
  const stream = extract()
  stream.end(content)
  for await (const entry of stream) {
    seen['tar-stream'].push([entry.header.name, entry.header.linkname])
    entry.resume()
  }
  for (const [reader, entries] of Object.entries(seen)) {
    const names = entries.map(entry => JSON.stringify(entry.filter(Boolean)).replaceAll('x'.repeat(120), 'LONG'))
    console.log(`${format}, ${reader}: ${names.join(' ')}`)
  }
}
JS
diff - <(node probe.mjs) <<'SEEN' && echo 'as described'
posix, modern-tar: ["LONG"] ["link","LONG"]
posix, nanotar: ["LONG"] ["LONG"]
posix, tar-parser: ["LONG"] ["link","LONG"]
posix, tar-stream: ["LONG"] ["link","LONG"]
gnu, modern-tar: ["LONG"] ["link","LONG"]
gnu, nanotar: ["LONG"] ["LONG"]
gnu, tar-parser: ["LONG\u0000"] ["link","LONG\u0000"]
gnu, tar-stream: ["LONG"] ["link","LONG"]
SEEN
