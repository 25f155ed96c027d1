// Command runcfilter stands in front of runc where the machine lacks
// CAP_SYS_RESOURCE: it takes what cannot be granted out of the container's
// specification and becomes the real runc. See package runcspec for why.
//
// The real runc is the one in KILN_RUNC, else /usr/sbin/runc, where Debian has
// it. A specification that cannot be read is left alone: runc's own message is
// the better one.
package main

import (
	"fmt"
	"os"
	"syscall"

	"kiln/e2e/cluster/internal/runcspec"
)

func main() {
	for _, file := range runcspec.Files(os.Args[1:]) {
		relax(file)
	}
	runc := os.Getenv("KILN_RUNC")
	if runc == "" {
		runc = "/usr/sbin/runc"
	}
	err := syscall.Exec(runc, append([]string{"runc"}, os.Args[1:]...), os.Environ())
	fmt.Fprintf(os.Stderr, "start %s: %v\n", runc, err)
	os.Exit(1)
}

// relax rewrites the file in place: containerd's shim holds no copy, and the
// bundle directory may not be writable under another name.
func relax(file string) {
	spec, err := os.ReadFile(file)
	if err != nil {
		return
	}
	relaxed, err := runcspec.Relax(spec)
	if err != nil {
		return
	}
	_ = os.WriteFile(file, relaxed, 0o600) // the mode counts for new files only
}
