#!/usr/bin/env bash
# A Dockerfile before and after dockerfmt, by its package @reteps/dockerfmt 0.5.4 for Node.js. A
# formatter is to leave the meaning as it is:
#
#   COPY and ADD in the JSON form, which the Dockerfile reference asks for where a path has a
#     space, are in the other form afterwards, where the space parts two sources
#   ENV NAME text, whose value is the rest of the line by the reference, is ENV NAME=text: what
#     has an = in the rest sets a second variable
#   of two here-documents of one instruction the second is gone, with its end
#
# No error is raised; "COPY a b c" copies two files that need not be there, or other ones.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @reteps/dockerfmt@0.5.4
cat >Dockerfile <<'TEXT'
FROM scratch
COPY --chown=1000 ["my file", "/to/"]
ADD ["a", "b c"]
ENTRYPOINT ["my program"]
ENV NOTE see key=value
LABEL note see key=value
COPY <<one.txt <<two.txt /texts/
first
one.txt
second
two.txt
USER 1000
TEXT
cat >probe.mjs <<'JS'
import { formatDockerfile } from '@reteps/dockerfmt'
const formatted = await formatDockerfile('Dockerfile', { indent: 2, trailingNewline: true, spaceRedirects: false })
process.stdout.write(formatted)
JS
diff - <(node probe.mjs) <<'SEEN' && echo 'as described'
FROM scratch
COPY --chown=1000 my file /to/
ADD a b c
ENTRYPOINT ["my program"]
ENV NOTE=see key=value
LABEL note see key=value
COPY <<one.txt <<two.txt /texts/
first
one.txt
USER 1000
SEEN
