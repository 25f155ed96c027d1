#!/usr/bin/env bash
# One line of a pod template, "defaultMode: 0644", read by the two YAML parsers that such
# templates meet: that of kubectl and Helm, and that of GitHub's container hooks for
# Kubernetes, which merge a template into the pod of a job.
#
#   sigs.k8s.io/yaml v1.6.0: 420, the mode rw-r--r--
#   js-yaml 4.1.0: 644, which is no mode: the API server takes 0 to 511 (octal 0777)
#   both: 0o644 is 420
#
# A template that kubectl applies as it is meant is refused when the hook uses it; and
# "defaultMode: 0444" is taken by both, as r--r--r-- and as rw-rwxr-- (decimal 444).
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund js-yaml@4.1.0
cat >probe.js <<'JS'
const yaml = require('js-yaml')
for (const mode of ['0644', '0444', '0o644']) console.log(mode, yaml.load(`defaultMode: ${mode}`).defaultMode)
JS
cat >go.mod <<'MOD'
module probe

go 1.25.0

require (
	k8s.io/api v0.34.4
	sigs.k8s.io/yaml v1.6.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	for _, mode := range []string{"0644", "0444", "0o644"} {
		var volume corev1.SecretVolumeSource
		if err := yaml.UnmarshalStrict([]byte("defaultMode: "+mode), &volume); err != nil {
			log.Fatal(err)
		}
		fmt.Println(mode, *volume.DefaultMode)
	}
}
GO
go mod tidy >/dev/null 2>&1
diff - <(echo 'kubectl and Helm:'; go run .; echo 'the hooks:'; node probe.js) <<'SEEN' && echo 'as described'
kubectl and Helm:
0644 420
0444 292
0o644 420
the hooks:
0644 644
0444 444
0o644 420
SEEN
