#!/usr/bin/env bash
# The same text as a label selector and as a field selector, the two filters that every
# list and watch of Kubernetes takes, by k8s.io/apimachinery v0.37.2:
#
#   labels.Parse: space around names, operators and commas does not count
#   fields.ParseSelector: space is a part of the name or of the value; there is no error,
#     and != with a space after it matches everything
#
# "status.phase!= Failed" matches failed pods as well, and "status.phase= Failed" matches
# none, where the same text for a label does what it says.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26.0

require k8s.io/apimachinery v0.37.2
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

func main() {
	object := map[string]string{"phase": "Failed", "node": "a"}
	for _, text := range []string{"phase=Failed", "phase= Failed", "phase!= Failed", "phase=Failed, node=a"} {
		label, err := labels.Parse(text)
		check(err)
		field, err := fields.ParseSelector(text)
		check(err)
		fmt.Println(text, label.Matches(labels.Set(object)), field.Matches(fields.Set(object)))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
GO
GOFLAGS=-mod=mod go build -o probe . 2>/dev/null
diff - <(./probe) <<'SEEN' && echo 'as described'
phase=Failed true true
phase= Failed true false
phase!= Failed false true
phase=Failed, node=a true false
SEEN
