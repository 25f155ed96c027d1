#!/usr/bin/env bash
# Testcontainers 11.14.0 for Node.js builds a Dockerfile whose base image is on a registry
# that the user is logged in to. It sends the daemon credentials for the registries of the
# FROM lines that it can read itself; no FROM of these is among them, without a word:
#
#   one with --platform, which is taken for the image
#   one whose host is from an ARG with a default, since only build arguments are known
#   one that is indented, or whose image is in the next line; nor is COPY --from=IMAGE
#
# The build then fails at the pull, as if the user had not logged in. The probe's daemon is a
# server that notes whose credentials come with a build.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund testcontainers@11.14.0
mkdir context
cat >probe.js <<'JS'
const fs = require('fs')
const http = require('http')

process.env.DOCKER_AUTH_CONFIG = JSON.stringify({ auths: { 'registry.test': { username: 'user', password: 'word' } } })
process.env.TESTCONTAINERS_RYUK_DISABLED = 'true'
let sent
const daemon = http.createServer((request, response) => {
  request.resume().on('end', () => {
    if (request.url.includes('/build?')) {
      sent = Object.keys(JSON.parse(Buffer.from(request.headers['x-registry-config'], 'base64')))
    }
    response.setHeader('Content-Type', 'application/json')
    response.end(request.url.includes('/containers/json') ? '[]' : '{"IndexServerAddress": "https://index.docker.io/v1/"}\n')
  })
})
daemon.listen(0, '127.0.0.1', async () => {
  process.env.DOCKER_HOST = `tcp://127.0.0.1:${daemon.address().port}`
  const { GenericContainer } = require('testcontainers')
  for (const dockerfile of [
    'FROM registry.test/base:1',
    'FROM --platform=linux/amd64 registry.test/base:1',
    'ARG HOST=registry.test\nFROM ${HOST}/base:1',
    '  FROM registry.test/base:1',
    'FROM \\\n  registry.test/base:1',
    'FROM scratch\nCOPY --from=registry.test/base:1 /file /',
  ]) {
    fs.writeFileSync('context/Dockerfile', dockerfile)
    await GenericContainer.fromDockerfile('context').build('probe', { deleteOnExit: false })
    console.log(JSON.stringify(dockerfile), sent)
  }
  process.exit()
})
JS
diff - <(node probe.js) <<'SEEN' && echo 'as described'
"FROM registry.test/base:1" [ 'registry.test' ]
"FROM --platform=linux/amd64 registry.test/base:1" []
"ARG HOST=registry.test\nFROM ${HOST}/base:1" []
"  FROM registry.test/base:1" []
"FROM \\\n  registry.test/base:1" []
"FROM scratch\nCOPY --from=registry.test/base:1 /file /" []
SEEN
