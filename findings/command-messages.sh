#!/usr/bin/env bash
# Workflow commands with :: in the message, as @actions/core 3.0.1 writes them: it writes a colon
# of a property as %3A and one of the message as it is, so that the first :: behind the command's
# name ends the properties. GitHub documents the same form (workflow commands).
#
#   github-action-ts-run-api 3.1.0, which runs an action in tests and reads its commands: where
#     there is a property the last :: ends them, so that the message loses all before that, and
#     an output (by the older command set-output) gets another name; without one all is there
#
# A test sees no output "image", and an annotation about std::string is about "string".
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @actions/core@3.0.1 github-action-ts-run-api@3.1.0
cat >probe.mjs <<'JS'
import * as core from '@actions/core'
import api from 'github-action-ts-run-api'
const target = api.RunTarget.asyncFn(async () => {
  core.notice('use std::string')
  core.notice('use std::string', { title: 'a: b' })
  core.warning('100%: use std::string\nat once', { file: 'main.cc', startLine: 3 })
  console.log('::set-output name=image::app::1.0')
})
const options = { outputOptions: { printStdout: false, printRunnerWarnings: false } }
const { commands, stdout } = await target.run(api.RunOptions.create(options))
console.log(stdout.trim().replaceAll(/\n+/g, '\n'))
for (const kind of ['notices', 'warnings', 'outputs']) {
  console.log(`${kind}: ${JSON.stringify(commands[kind])}`)
}
JS
diff - <(node probe.mjs) <<'SEEN' && echo 'as described'
::notice::use std::string
::notice title=a%3A b::use std::string
::warning file=main.cc,line=3::100%25: use std::string%0Aat once
::set-output name=image::app::1.0
notices: ["use std::string","string"]
warnings: ["string\nat once"]
outputs: {"image::app":"1.0"}
SEEN
