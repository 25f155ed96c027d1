#!/usr/bin/env bash
# Ranges of Kubernetes versions, as kubeVersion in a chart has them, by the library that
# Helm asks and by the one that programs for Node.js ask:
#
#   Masterminds/semver v3.5.0 (Helm): 1.28-1.30, without spaces around the hyphen, is no
#     range up to 1.30 but 1.28.x from a prerelease named 1.30 on, so that it takes 1.28
#     alone, without an error
#   semver 7.7.3 of npm: that is no range at all
#
# A chart with it installs on 1.28, where it was written, and on nothing later.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund semver@7.7.3
cat >probe.js <<'JS'
const semver = require('semver')
for (const range of ['1.28 - 1.30', '1.28-1.30']) {
  const taken = ['1.28.4', '1.29.0', '1.30.1'].filter(v => semver.satisfies(v, range))
  console.log('npm', range, 'is', semver.validRange(range) === null ? 'no range' : taken.join(' '))
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26.0

require github.com/Masterminds/semver/v3 v3.5.0
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"
	"strings"

	"github.com/Masterminds/semver/v3"
)

func main() {
	for _, text := range []string{"1.28 - 1.30", "1.28-1.30"} {
		constraint, err := semver.NewConstraint(text)
		if err != nil {
			log.Fatal(err)
		}
		var taken []string
		for _, version := range []string{"1.28.4", "1.29.0", "1.30.1"} {
			if constraint.Check(semver.MustParse(version)) {
				taken = append(taken, version)
			}
		}
		fmt.Println("Helm", text, "is", strings.Join(taken, " "))
	}
}
GO
GOFLAGS=-mod=mod go build -o probe . 2>/dev/null
diff - <(./probe; node probe.js) <<'SEEN' && echo 'as described'
Helm 1.28 - 1.30 is 1.28.4 1.29.0 1.30.1
Helm 1.28-1.30 is 1.28.4
npm 1.28 - 1.30 is 1.28.4 1.29.0 1.30.1
npm 1.28-1.30 is no range
SEEN
