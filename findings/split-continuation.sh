#!/usr/bin/env bash
# "docker create" options as people copy them from a shell script, with a backslash at the
# end of a line, split by the libraries that Go programs use for such fields:
#
#   google/shlex e7afc7fbc510, mattn/go-shellwords v1.0.16, anmitsu/go-shlex 38f4b401e2be:
#     the newline stays, as an argument of its own or as the first character of the next
#     one; "--init" is then no option any more, but an image with a newline in its name
#   kballard/go-shellquote 95032a82bc51 (act) and mvdan.cc/sh v3.14.1: both characters go,
#     as in a shell
#
# Tests on one line show no difference.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26.0

require (
	github.com/anmitsu/go-shlex v0.0.0-20200514113438-38f4b401e2be
	github.com/google/shlex v0.0.0-20191202100458-e7afc7fbc510
	github.com/kballard/go-shellquote v0.0.0-20180428030007-95032a82bc51
	github.com/mattn/go-shellwords v1.0.16
	mvdan.cc/sh/v3 v3.14.1
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"

	anmitsu "github.com/anmitsu/go-shlex"
	google "github.com/google/shlex"
	kballard "github.com/kballard/go-shellquote"
	mattn "github.com/mattn/go-shellwords"
	mvdan "mvdan.cc/sh/v3/shell"
)

func main() {
	split := []struct {
		library string
		by      func(string) ([]string, error)
	}{
		{"google/shlex", google.Split},
		{"mattn/go-shellwords", mattn.Parse},
		{"anmitsu/go-shlex", func(line string) ([]string, error) { return anmitsu.Split(line, true) }},
		{"kballard/go-shellquote", kballard.Split},
		{"mvdan.cc/sh", func(line string) ([]string, error) { return mvdan.Fields(line, nil) }},
	}
	for _, line := range []string{"--cpus 2 \\\n --init", "--cpus 2 \\\n--init"} {
		for _, s := range split {
			words, err := s.by(line)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%s %q\n", s.library, words)
		}
	}
}
GO
GOFLAGS=-mod=mod go build -o probe . 2>/dev/null
diff - <(./probe) <<'SEEN' && echo 'as described'
google/shlex ["--cpus" "2" "\n" "--init"]
mattn/go-shellwords ["--cpus" "2" "\n" "--init"]
anmitsu/go-shlex ["--cpus" "2" "\n" "--init"]
kballard/go-shellquote ["--cpus" "2" "--init"]
mvdan.cc/sh ["--cpus" "2" "--init"]
google/shlex ["--cpus" "2" "\n--init"]
mattn/go-shellwords ["--cpus" "2" "\n--init"]
anmitsu/go-shlex ["--cpus" "2" "\n--init"]
kballard/go-shellquote ["--cpus" "2" "--init"]
mvdan.cc/sh ["--cpus" "2" "--init"]
SEEN
