#!/usr/bin/env bash
# A layer's file with an owner as OpenShift gives to a namespace, 1000660000, and a group above
# 262143, as user namespaces have them. POSIX has a record of the extended header for what the
# header's own field cannot hold, GNU tar's format has a binary number, and ustar's field holds 7
# digits of base 8, which the group fits in.
#
#   modern-tar 0.8.6 writes and reads both as GNU tar does; tar 7.5.23 reads both
#   tar-stream 3.2.2: writes 262143 for each, and of the POSIX archive it reads the header's field
#   @remix-run/tar-parser 0.7.1: reads that field, too
#   nanotar 0.3.0: writes the first 8 digits of the owner; it reads the field's digits as decimal
#     ones, and the binary number as NaN
#
# The header's field is 0 from GNU tar, so that the file is listed or unpacked with owner 0.
# Needs GNU tar, Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @remix-run/tar-parser@0.7.1 modern-tar@0.8.6 nanotar@0.3.0 tar@7.5.23 tar-stream@3.2.2
touch file
for format in posix gnu; do tar --format=$format --owner=:1000660000 --group=:262144 -cf $format.tar file; done
cat >probe.mjs <<'JS'
import { parseTar as remix } from '@remix-run/tar-parser'
import { readFileSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { packTar, unpackTar } from 'modern-tar'
import { createTar, parseTar } from 'nanotar'
import { Parser } from 'tar'
import { extract, pack } from 'tar-stream'

const owner = { uid: 1000660000, gid: 262144 }
const archive = pack()
archive.entry({ name: 'file', ...owner }, '')
archive.finalize()
const chunks = []
for await (const chunk of archive) chunks.push(chunk)
writeFileSync('tar-stream.tar', Buffer.concat(chunks))
writeFileSync('modern-tar.tar', await packTar([{ header: { name: 'file', size: 0, ...owner }, body: '' }]))
writeFileSync('nanotar.tar', createTar([{ name: 'file', data: '', attrs: owner }]))

for (const format of ['posix', 'gnu']) {
  const content = readFileSync(`${format}.tar`)
  const show = (reader, { uid, gid }) => console.log(`from ${format}, ${reader}: ${uid}/${gid}`)
  show('modern-tar', (await unpackTar(content))[0].header)
  show('nanotar', parseTar(content)[0].attrs)
  await remix(content, entry => show('tar-parser', entry.header))
  const tar = new Parser({ onReadEntry: entry => { show('tar', entry); entry.resume() } })
  const ended = once(tar, 'end')
  tar.end(content)
  await ended
  const stream = extract()
  stream.end(content)
  for await (const entry of stream) {
    show('tar-stream', entry.header)
    entry.resume()
  }
}
JS
read_owners() {
  node probe.mjs
  for writer in tar-stream modern-tar nanotar; do
    echo "from $writer, GNU tar: $(tar --numeric-owner -tvf $writer.tar | cut -d ' ' -f 2)"
  done
}
diff - <(read_owners) <<'SEEN' && echo 'as described'
from posix, modern-tar: 1000660000/262144
from posix, nanotar: 0/1000000
from posix, tar-parser: 0/262144
from posix, tar: 1000660000/262144
from posix, tar-stream: 0/262144
from gnu, modern-tar: 1000660000/262144
from gnu, nanotar: NaN/1000000
from gnu, tar-parser: 1000660000/262144
from gnu, tar: 1000660000/262144
from gnu, tar-stream: 1000660000/262144
from tar-stream, GNU tar: 262143/262143
from modern-tar, GNU tar: 1000660000/262144
from nanotar, GNU tar: 15635312/262144
SEEN
