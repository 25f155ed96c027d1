#!/usr/bin/env bash
# A layer of several gzip members, one after another, which RFC 1952 (section 2.2) calls one
# file: eStargz has a member for each file of the image, so that they can be read alone.
#
#   zlib of Node.js, pako 3.0.3, gunzip-maybe 1.4.2: the whole layer
#   fflate 0.8.3, gunzipSync, gunzip and decompressSync: the first member, without an error;
#     its stream, Gunzip, gives all
#
# What lists a layer with fflate sees its first file; a browser or a bundle has no zlib.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund fflate@0.8.3 gunzip-maybe@1.4.2 pako@3.0.3 tar-stream@3.2.2
for name in one two; do
  echo $name >$name
  tar -cf $name.tar $name
done
{ head --bytes=1024 one.tar | gzip -n; head --bytes=1024 two.tar | gzip -n; head --bytes=1024 /dev/zero | gzip -n; } >layer.tar.gz
tar -tzf layer.tar.gz | paste -sd ' ' >seen
cat >probe.mjs <<'JS'
import fs from 'node:fs'
import zlib from 'node:zlib'
import { promisify } from 'node:util'
import * as fflate from 'fflate'
import gunzip from 'gunzip-maybe'
import * as pako from 'pako'
import tar from 'tar-stream'
const layer = fs.readFileSync('layer.tar.gz')
const piped = stream => new Promise(resolve => {
  const chunks = []
  stream.on('data', chunk => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)))
  stream.end(layer)
})
const streamed = () => {
  const chunks = []
  new fflate.Gunzip(chunk => chunks.push(chunk)).push(layer, true)
  return Buffer.concat(chunks)
}
const unpacked = {
  'zlib': zlib.gunzipSync(layer),
  'pako': pako.ungzip(layer),
  'gunzip-maybe': await piped(gunzip()),
  'fflate gunzipSync': fflate.gunzipSync(layer),
  'fflate gunzip': await promisify(fflate.gunzip)(layer),
  'fflate decompressSync': fflate.decompressSync(layer),
  'fflate Gunzip': streamed(),
}
for (const [library, archive] of Object.entries(unpacked)) {
  const extract = tar.extract()
  const names = []
  const listed = new Promise(resolve => extract.on('finish', resolve).on('error', error => resolve(names.push(error.message))))
  extract.on('entry', (header, stream, next) => { names.push(header.name); stream.on('end', next).resume() })
  extract.end(archive)
  await listed
  console.log(`${library}: ${names.join(' ')}`)
}
JS
diff - <(echo "tar: $(cat seen)"; node probe.mjs) <<'SEEN' && echo 'as described'
tar: one two
zlib: one two
pako: one two
gunzip-maybe: one two
fflate gunzipSync: one
fflate gunzip: one
fflate decompressSync: one
fflate Gunzip: one two
SEEN
