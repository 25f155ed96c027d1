#!/usr/bin/env bash
# "docker run --mount", turned into a Compose file by composerize 1.7.6. The reference of docker
# run gives a mount src for source, dst or destination for target, and readonly or ro.
# The Compose specification has type, source, target and read_only for a mount, and no others:
#
#   readonly and ro are not in the file and not among the options that are said to be ignored,
#     so that the mount can be written to; with =true it keeps its name, which is no key there
#   src and dst keep their names, which are none either
#   beside it: a --stop-timeout becomes a duration without a unit
#
# With -v and :ro the same mount stays read-only.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund composerize@1.7.6
cat >probe.js <<'JS'
const composerize = require('composerize')
for (const options of [
  '--mount type=bind,source=/data,target=/data,readonly',
  '--mount type=bind,source=/data,target=/data,readonly=true',
  '--mount type=bind,src=/data,dst=/data,ro',
  '-v /data:/data:ro',
  '--stop-timeout 20',
]) console.log(`${options}\n${composerize(`docker run ${options} app`)}`)
JS
diff - <(node probe.js) <<'SEEN' && echo 'as described'
--mount type=bind,source=/data,target=/data,readonly
name: <your project name>
services:
    app:
        volumes:
            - type: bind
              source: /data
              target: /data
        image: app
--mount type=bind,source=/data,target=/data,readonly=true
name: <your project name>
services:
    app:
        volumes:
            - type: bind
              source: /data
              target: /data
              readonly: "true"
        image: app
--mount type=bind,src=/data,dst=/data,ro
name: <your project name>
services:
    app:
        volumes:
            - type: bind
              src: /data
              dst: /data
        image: app
-v /data:/data:ro
name: <your project name>
services:
    app:
        volumes:
            - /data:/data:ro
        image: app
--stop-timeout 20
name: <your project name>
services:
    app:
        stop_grace_period: "20"
        image: app
SEEN
