package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// delegatePipe is how much of a delegate's output its pipe takes before anybody
// reads: as much as a pipe has without privileges by default (pipe(7)).
const delegatePipe = 1 << 20

// pipeLimitFile has the size up to which the system lets anybody widen a pipe.
const pipeLimitFile = "/proc/sys/fs/pipe-max-size"

// widen gives the pipe behind a descriptor room for size bytes, or for as many as
// the system allows. What is no pipe, or a larger one, stays as it is, and so
// does one that may not grow: the user of the runner may have too many.
//
// The stock hook of 0.7.0 ends with output still unwritten, and exit code 0, where
// the pipe was full and the runner did not read in time: node writes to a pipe
// without waiting there, and the hook calls process.exit.
func widen(fd, size int) {
	limit, err := os.ReadFile(pipeLimitFile)
	if err != nil {
		return
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(limit)))
	if err != nil {
		return
	}
	size = min(size, most)
	now, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	if err != nil || now >= size {
		return
	}
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, size)
}
