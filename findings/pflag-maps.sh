#!/usr/bin/env bash
# One value for a flag that takes pairs, such as --label or --annotation, by the two flag
# libraries of most command lines for Kubernetes and CI in Go:
#
#   spf13/pflag v1.0.10, StringToString: with one = in it the value loses the quotes at its
#     ends, so that note="x" ends as note and "x, a text with one quote; with two or more it
#     is a line of CSV, of which only the first line counts
#   alecthomas/kong v1.17.0, map[string]string: the value stays as it is
#
# A multi-line input that a step hands on as such a flag keeps its first line, and the
# program says nothing of the others.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/spf13/pflag v1.0.10
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"

	"github.com/alecthomas/kong"
	"github.com/spf13/pflag"
)

func main() {
	for _, value := range []string{`note="x"`, "note=x=y\nteam=b", "note=x\nteam=b", "note=x\nrest"} {
		flags := pflag.NewFlagSet("probe", pflag.ContinueOnError)
		pairs := flags.StringToString("label", nil, "")
		check(flags.Parse([]string{"--label", value}))
		fmt.Printf("pflag %q\n", *pairs)

		var line struct{ Label map[string]string }
		parser, err := kong.New(&line)
		check(err)
		_, err = parser.Parse([]string{"--label", value})
		check(err)
		fmt.Printf("kong %q\n", line.Label)
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
pflag map["note":"\"x"]
kong map["note":"\"x\""]
pflag map["note":"x=y"]
kong map["note":"x=y\nteam=b"]
pflag map["note":"x"]
kong map["note":"x\nteam=b"]
pflag map["note":"x\nrest"]
kong map["note":"x\nrest"]
SEEN
