#!/usr/bin/env bash
# Two builds of one version in the tool cache of a runner, with @actions/tool-cache 4.0.0. Its
# documentation asks for versions in semver's format, in which +5 and +6 are builds of 1.2.3:
#
#   the second takes the folder of the first, and whoever asks for the first gets the second
#   "1.20", which is not of that format, is stored without an error, its path is returned, and
#     it is never found again
#
# A JDK 21.0.4+6 and +7 are one; an action that caches "1.20" downloads it each time.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @actions/tool-cache@4.0.0
cat >probe.mjs <<'JS'
import fs from 'node:fs'
import path from 'node:path'
import { cacheDir, find, findAllVersions } from '@actions/tool-cache'
const cache = process.env.RUNNER_TOOL_CACHE
const arch = 'x64'
for (const version of ['1.2.3+5', '1.2.3+6', '1.20', '1.21.0']) {
  fs.mkdirSync('source', { recursive: true })
  fs.writeFileSync('source/version', version)
  const stored = await cacheDir('source', 'tool', version, arch)
  console.log(`${version} is stored in ${path.relative(cache, stored)}`)
}
for (const version of ['1.2.3+5', '1.2.3+6', '1.20', '1.21.0']) {
  const found = find('tool', version, arch)
  console.log(`${version} found:`, found && fs.readFileSync(path.join(found, 'version'), 'utf8'))
}
console.log('all:', findAllVersions('tool', arch).join(' '))
JS
diff - <(RUNNER_TOOL_CACHE=$work/cache RUNNER_TEMP=$work/temp node probe.mjs | grep -v '^::debug::') <<'SEEN' && echo 'as described'
1.2.3+5 is stored in tool/1.2.3/x64
1.2.3+6 is stored in tool/1.2.3/x64
1.20 is stored in tool/1.20/x64
1.21.0 is stored in tool/1.21.0/x64
1.2.3+5 found: 1.2.3+6
1.2.3+6 found: 1.2.3+6
1.20 found: 
1.21.0 found: 1.21.0
all: 1.2.3 1.21.0
SEEN
