#!/usr/bin/env bash
# One line of "docker create" options, as a service of a workflow has it, split by three
# packages that programs for Node.js use for that (GitHub's container hooks use the first):
#
#   shlex 3.0.0: as a shell does
#   shell-quote 1.12.0: a # within a word begins a comment, so that the rest of the line is
#     no argument; a shell takes only a # that begins a word
#   string-argv 0.4.0: an escaped quote within quotes is lost and its backslash stays
#
# Neither reports it: a label is cut, later options are gone, a health check asks for
# another user.
# Needs Node.js with npm and its registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund shlex@3.0.0 shell-quote@1.12.0 string-argv@0.4.0
cat >probe.mjs <<'JS'
import { split } from 'shlex'
import { parse } from 'shell-quote'
import { parseArgsStringToArgv } from 'string-argv'

const line = String.raw`--health-cmd "pg_isready -U \"a b\"" --label at=/#top --init`
for (const by of [split, parse, parseArgsStringToArgv]) {
  for (const word of by(line)) console.log(JSON.stringify(word))
}
JS
diff - <(node probe.mjs) <<'SEEN' && echo 'as described'
"--health-cmd"
"pg_isready -U \"a b\""
"--label"
"at=/#top"
"--init"
"--health-cmd"
"pg_isready -U \"a b\""
"--label"
"at=/"
{"comment":"top --init"}
"--health-cmd"
"pg_isready -U \\a"
"b\\"
"--label"
"at=/#top"
"--init"
SEEN
