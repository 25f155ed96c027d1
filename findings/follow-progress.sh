#!/usr/bin/env bash
# The answer of Docker's API to a build that fails: status 200, since the stream has begun, and
# in its last line an error. What the two usual readers of that stream say at its end:
#
#   moby/client v0.5.1, jsonmessage.DisplayJSONMessagesStream: the error
#   docker-modem 5.0.7, followProgress (dockerode, which documents it for the end of a build or
#     a pull, with a promise that rejects on err): err is null, and the error is one more
#     object of the output
#
# Written as the documentation has it, a failed build, pull or push is a success, and the next
# step runs an older image of that name.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund --ignore-scripts docker-modem@5.0.7
cat >stream <<'JSON'
{"stream":"Step 1/1 : RUN make\n"}
{"errorDetail":{"code":2,"message":"make: no rule"},"error":"make: no rule"}
JSON
cat >probe.js <<'JS'
const Modem = require('docker-modem')
const modem = new Modem({ host: 'unused' })
const stream = require('fs').createReadStream('stream')
modem.followProgress(stream, (err, output) => console.log('docker-modem:', err, '- last object', Object.keys(output.at(-1)).join(' ')))
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/moby/moby/client v0.5.1
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/moby/moby/client/pkg/jsonmessage"
)

func main() {
	stream, err := os.Open("stream")
	if err != nil {
		panic(err)
	}
	fmt.Println("jsonmessage:", jsonmessage.DisplayJSONMessagesStream(stream, io.Discard, 0, false, nil))
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .; node probe.js) <<'SEEN' && echo 'as described'
jsonmessage: make: no rule
docker-modem: null - last object errorDetail error
SEEN
