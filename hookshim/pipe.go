package main

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// splice moves n bytes, which the pipe from holds, to another pipe without a copy of them
// and waits for room there. It moves fewer where it cannot, as to what is no pipe.
func splice(from int, to *os.File, n int) (moved int, err error) {
	raw, err := to.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { moved, failed = spliceTo(from, int(fd), n) })
	if errors.Is(failed, unix.EINVAL) { // no pipe
		failed = nil
	}
	return moved, errors.Join(failed, err)
}

// spliceTo is splice to a descriptor.
func spliceTo(from, to, n int) (moved int, err error) {
	for moved < n {
		now, err := unix.Splice(from, nil, to, nil, n-moved, 0)
		switch {
		case errors.Is(err, unix.EAGAIN): // there is no room
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(to), Events: unix.POLLOUT}}, -1) //nolint:gosec // a descriptor
		case err == nil && now == 0: // nor anything to move
			return moved, nil
		case err == nil:
			moved += int(now)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return moved, err
		}
	}
	return moved, nil
}

// muchOutput is how many bytes say that nobody waits for each line of the output.
const muchOutput = 256 << 10

// threadPasses bounds how often the threads are looked through.
const threadPasses = 10

// standBack has every thread of this process wait for its turn where no processor is free
// (SCHED_BATCH, sched(7)). Otherwise a step that prints much, and then the runner, is
// interrupted at every few kilobytes by this process, which is woken to carry them: that
// costs more than all else. A system that forbids it is only slower. Threads to come are
// as the ones that make them: while one is left that does not wait, it may make another
// behind a pass.
func standBack() {
	for range threadPasses {
		if !changeThreads() {
			return
		}
	}
}

// changeThreads is one pass through the threads. It reports whether it has changed one.
func changeThreads() (changed bool) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			continue
		}
		if attr, err := unix.SchedGetAttr(id, 0); err == nil && attr.Policy == unix.SCHED_NORMAL {
			attr.Policy = unix.SCHED_BATCH
			changed = unix.SchedSetAttr(id, attr, 0) == nil || changed
		}
	}
	return changed
}

// widePipe is how much of a delegate's or a step's output the runner's pipe takes before
// anybody reads: as much as a pipe has without privileges by default (pipe(7)).
const widePipe = 1 << 20

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
