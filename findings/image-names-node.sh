#!/usr/bin/env bash
# Valid names of images, taken apart by two packages for Node.js and by Docker's grammar as
# @swimlane/docker-reference 2.0.1 has it for Node.js:
#
#   docker-parse-image 3.0.1: a host is what has two parts behind it, so that a/b/c is c of a
#     registry a and localhost/app is on Docker Hub; library/ is put before a single name on
#     any registry; a digest is a tag, with a tag before it both are one; deeper paths are null
#   parse-docker-image-name 3.0.0: as Docker
#
# The full name that the former gives for reg.io/app is that of another repository.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @swimlane/docker-reference@2.0.1 docker-parse-image@3.0.1 \
  parse-docker-image-name@3.0.0
cat >probe.js <<'JS'
const parse = require('docker-parse-image')
const other = require('parse-docker-image-name').default ?? require('parse-docker-image-name')
const docker = require('@swimlane/docker-reference')
const digest = 'sha256:' + '0'.repeat(64)
const names = ['ubuntu', 'localhost/app', 'reg.io/app:1', 'a/b/c', `reg.io/a/b:1@${digest}`, 'reg.io/a/b/c/d']
const short = answer => answer.replaceAll(digest, 'DIGEST')
for (const name of names) {
  const a = parse(name)
  const b = other(name)
  const c = docker.parseFamiliarName(name)
  console.log(short(name))
  console.log('  docker-parse-image:', short(a ? `host ${a.registry}, tag ${a.tag}, ${a.fullname}` : 'null'))
  console.log('  parse-docker-image-name:', short(`host ${b.domain}, path ${b.path}, tag ${b.tag}, digest ${b.digest}`))
  console.log('  docker-reference:', short(`host ${c.domain}, path ${c.repository ?? c.path}, tag ${c.tag}, digest ${c.digest}`))
}
JS
diff - <(node probe.js) <<'SEEN' && echo 'as described'
ubuntu
  docker-parse-image: host null, tag null, library/ubuntu:latest
  parse-docker-image-name: host undefined, path ubuntu, tag undefined, digest undefined
  docker-reference: host docker.io, path library/ubuntu, tag undefined, digest undefined
localhost/app
  docker-parse-image: host null, tag null, localhost/app:latest
  parse-docker-image-name: host localhost, path app, tag undefined, digest undefined
  docker-reference: host localhost, path app, tag undefined, digest undefined
reg.io/app:1
  docker-parse-image: host reg.io, tag 1, reg.io/library/app:1
  parse-docker-image-name: host reg.io, path app, tag 1, digest undefined
  docker-reference: host reg.io, path app, tag 1, digest undefined
a/b/c
  docker-parse-image: host a, tag null, a/b/c:latest
  parse-docker-image-name: host undefined, path a/b/c, tag undefined, digest undefined
  docker-reference: host docker.io, path a/b/c, tag undefined, digest undefined
reg.io/a/b:1@DIGEST
  docker-parse-image: host reg.io, tag 1@DIGEST, reg.io/a/b:1@DIGEST
  parse-docker-image-name: host reg.io, path a/b, tag 1, digest DIGEST
  docker-reference: host reg.io, path a/b, tag 1, digest DIGEST
reg.io/a/b/c/d
  docker-parse-image: null
  parse-docker-image-name: host reg.io, path a/b/c/d, tag undefined, digest undefined
  docker-reference: host reg.io, path a/b/c/d, tag undefined, digest undefined
SEEN
