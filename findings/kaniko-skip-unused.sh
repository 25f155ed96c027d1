#!/usr/bin/env bash
# Kaniko (chainguard-dev/kaniko v1.25.16) with --skip-unused-stages goes by the names of the
# stages that are copied from. Seen of three Dockerfiles, in all of which Docker's builder
# leaves out the stage that fails and nothing else:
#
#   the last stage copies from a stage by name: as Docker's builder
#   by number, from a stage without a name: that stage is left out too
#   from none: all stages are built, as without the flag
#
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/chainguard-dev/kaniko v1.25.16

replace github.com/moby/go-archive => github.com/moby/go-archive v0.1.0
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/chainguard-dev/kaniko/pkg/config"
	"github.com/chainguard-dev/kaniko/pkg/dockerfile"
)

func main() {
	const fails = "FROM scratch AS fails\nRUN exit 1\n"
	for _, text := range []string{
		fails + "FROM scratch AS made\nLABEL is=made\nFROM scratch AS last\nCOPY --from=made /f /f\n",
		fails + "FROM scratch\nLABEL is=made\nFROM scratch AS last\nCOPY --from=1 /f /f\n",
		fails + "FROM scratch AS last\nLABEL is=last\n",
	} {
		dir, err := os.MkdirTemp("", "")
		check(err)
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "Dockerfile")
		check(os.WriteFile(path, []byte(text), 0o600))
		opts := &config.KanikoOptions{DockerfilePath: path, SkipUnusedStages: true}
		stages, args, err := dockerfile.ParseStages(opts)
		check(err)
		kept, err := dockerfile.MakeKanikoStages(opts, stages, args)
		check(err)
		fmt.Printf("of %d stages it builds", len(stages))
		for _, stage := range kept {
			fmt.Printf(" %q", stage.Name)
		}
		fmt.Println()
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . 2>"$work/log") <<'SEEN' && echo 'as described'
of 3 stages it builds "made" "last"
of 3 stages it builds "last"
of 2 stages it builds "fails" "last"
SEEN
