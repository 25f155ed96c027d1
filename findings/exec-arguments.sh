#!/usr/bin/env bash
# One command line for @actions/exec 3.0.0, with which JavaScript actions run programs, and for
# a shell. The line is to be "correctly escaped", and it is not said how:
#
#   single quotes and a backslash outside of quotes are characters like any other
#   an empty argument in quotes is no argument
#   the last argument loses the spaces at its ends, quotes or not
#   a tab parts nothing
#
# git commit -m 'two words' commits with "'two" and takes "words'" for a path; a flag whose
# value is empty takes the next argument. A list of arguments is passed on as it is.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @actions/exec@3.0.0
cat >args.js <<'JS'
console.log(JSON.stringify(process.argv.slice(2)))
JS
cat >probe.mjs <<'JS'
import { spawnSync } from 'node:child_process'
import { getExecOutput } from '@actions/exec'
const lines = [
  String.raw`node args.js -m "two words"`,
  String.raw`node args.js -m 'two words'`,
  String.raw`node args.js two\ words`,
  String.raw`node args.js --flag "" next`,
  String.raw`node args.js "first " "last "`,
  'node args.js one\ttwo',
]
for (const line of lines) {
  const { stdout } = await getExecOutput(line, [], { silent: true })
  const shell = spawnSync('sh', ['-c', line], { encoding: 'utf8' }).stdout
  console.log(`${JSON.stringify(line)}: exec ${stdout.trim()}, sh ${shell.trim()}`)
}
JS
diff - <(node probe.mjs) <<'SEEN' && echo 'as described'
"node args.js -m \"two words\"": exec ["-m","two words"], sh ["-m","two words"]
"node args.js -m 'two words'": exec ["-m","'two","words'"], sh ["-m","two words"]
"node args.js two\\ words": exec ["two\\","words"], sh ["two words"]
"node args.js --flag \"\" next": exec ["--flag","next"], sh ["--flag","","next"]
"node args.js \"first \" \"last \"": exec ["first ","last"], sh ["first ","last "]
"node args.js one\ttwo": exec ["one\ttwo"], sh ["one","two"]
SEEN
