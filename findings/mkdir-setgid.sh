#!/usr/bin/env bash
# BuildKit makes the directories that a COPY needs by tonistiigi/fsutil. Below a directory
# with the setgid bit, which hands its group and the bit on:
#
#   as fsutil comes (the daemon that has BuildKit built in): the new directories lose the bit,
#     the group stays
#   with copy.UmaskIsZero, which buildkitd and buildctl set in their beginning: they keep it
#
# The variable is about the umask, but what it leaves out is a chmod, which takes the bit
# away. One Dockerfile has images of two kinds by which daemon builds it.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/tonistiigi/fsutil v0.0.0-20261103091533-a72de9dcf763
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"syscall"

	fsutil "github.com/tonistiigi/fsutil/copy"
)

func main() {
	syscall.Umask(0)
	for _, zero := range []bool{false, true} {
		fsutil.UmaskIsZero = zero
		dir, err := os.MkdirTemp(".", "shared")
		check(err)
		check(os.Chmod(dir, 0o755|os.ModeSetgid))
		_, err = fsutil.MkdirAll(dir+"/new/newer", 0o755, nil, nil)
		check(err)
		for _, name := range []string{"", "/new", "/new/newer"} {
			info, err := os.Stat(dir + name)
			check(err)
			fmt.Printf("UmaskIsZero %t: shared%s has setgid %t\n", zero, name, info.Mode()&os.ModeSetgid != 0)
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
UmaskIsZero false: shared has setgid true
UmaskIsZero false: shared/new has setgid false
UmaskIsZero false: shared/new/newer has setgid false
UmaskIsZero true: shared has setgid true
UmaskIsZero true: shared/new has setgid true
UmaskIsZero true: shared/new/newer has setgid true
SEEN
