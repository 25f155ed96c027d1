#!/usr/bin/env bash
# One rendered template with two documents, split by both majors of Helm with the function
# through which every manifest goes:
#
#   helm.sh/helm/v3 v3.22.0: space at both ends of a document goes, and with it the last
#     newlines of a block scalar there: "|+" keeps none and "|" loses its only one
#   helm.sh/helm/v4 v4.3.1: they stay
#   both: space before a document goes, so that one which is indented as a whole, as
#     kubectl takes it, is no YAML any more
#
# A ConfigMap's file that ends a document with "|+" has another content after a change of
# Helm's major, from the same chart and values.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26.0

require (
	helm.sh/helm/v3 v3.22.0
	helm.sh/helm/v4 v4.3.1
	sigs.k8s.io/yaml v1.6.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"

	three "helm.sh/helm/v3/pkg/releaseutil"
	four "helm.sh/helm/v4/pkg/release/v1/util"
	"sigs.k8s.io/yaml"
)

func main() {
	for _, text := range []string{
		"data:\n  file: |+\n    x\n\n---\nkind: Pod\n",
		"data:\n  file: |\n    x\n---\nkind: Pod\n",
		"  kind: ConfigMap\n  data: {file: x}\n",
	} {
		for _, manifests := range []map[string]string{three.SplitManifests(text), four.SplitManifests(text)} {
			var object struct{ Data map[string]string }
			err := yaml.Unmarshal([]byte(manifests["manifest-0"]), &object)
			fmt.Printf("%q error: %v\n", object.Data["file"], err != nil)
		}
		whole := yaml.Unmarshal([]byte(text), &struct{}{})
		fmt.Println("whole, error:", whole != nil)
	}
}
GO
GOFLAGS=-mod=mod go build -o probe . 2>/dev/null
diff - <(./probe) <<'SEEN' && echo 'as described'
"x" error: false
"x\n\n" error: false
whole, error: false
"x" error: false
"x\n" error: false
whole, error: false
"" error: true
"" error: true
whole, error: false
SEEN
