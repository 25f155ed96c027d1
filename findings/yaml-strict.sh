#!/usr/bin/env bash
# The same pod template, read with sigs.k8s.io/yaml's UnmarshalStrict by the programs that
# take such a template as their configuration, and by what the API server reads with:
#
#   sigs.k8s.io/yaml v1.6.0: a field is found in any case of letters, so that NodeName
#     counts, and of NodeName and nodeName one is dropped; a value for a text becomes one:
#     [010, yes, 1.10] is ["8" "true" "1.1"]
#   sigs.k8s.io/json 2d320260d730, on what YAMLToJSONStrict of the former gives: the first
#     is an unknown field, the second a value of the wrong type
#
# "Strict" of the one passes what the other refuses, and runs it with other arguments than
# the file shows.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26.0

require (
	k8s.io/api v0.37.2
	sigs.k8s.io/json v0.0.0-20250730193827-2d320260d730
	sigs.k8s.io/yaml v1.6.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

func main() {
	for _, text := range []string{
		"NodeName: a",
		"{nodeName: a, NodeName: b}",
		"containers: [{name: a, args: [010, yes, 1.10]}]",
	} {
		var spec corev1.PodSpec
		if err := yaml.UnmarshalStrict([]byte(text), &spec); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q", spec.NodeName)
		for _, container := range spec.Containers {
			fmt.Printf(" %q", container.Args)
		}
		converted, err := yaml.YAMLToJSONStrict([]byte(text))
		if err != nil {
			log.Fatal(err)
		}
		strict, err := json.UnmarshalStrict(converted, &corev1.PodSpec{})
		fmt.Println(" unknown:", strict, "wrong:", err != nil)
	}
}
GO
GOFLAGS=-mod=mod go build -o probe . 2>/dev/null
diff - <(./probe) <<'SEEN' && echo 'as described'
"a" unknown: [unknown field "NodeName"] wrong: false
"a" unknown: [unknown field "NodeName"] wrong: false
"" ["8" "true" "1.1"] unknown: [] wrong: true
SEEN
