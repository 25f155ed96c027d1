package supervisor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Sizes in bytes.
const (
	mib = 1 << 20
	// reserve is what is kept for the supervisor, for the pages of the program
	// and for the kernel's buffers, at least.
	reserve = 24 * mib
	// leastData is what a worker needs to start and to run small steps. Of the
	// 84 MiB that kilnd maps before its first step, 32 are an index of Go's
	// runtime that is hardly touched (runtime/mheap.go, arenaL2Bits); the limit
	// counts them all the same.
	leastData = 112 * mib
)

// Limits are what a worker may use, in bytes.
type Limits struct {
	// Data is for RLIMIT_DATA: an allocation beyond it fails (setrlimit(2),
	// from Linux 4.7 on it covers private anonymous mappings).
	Data uint64
	// Soft is for GOMEMLIMIT: near it, the garbage collector works harder.
	Soft uint64
}

// LimitsOf returns what a worker may use in a container with that limit: an
// eighth of it, and at least 24 MiB, stay free. A container without a limit (0) gives
// none. One that is too small for that is an error, and gives none: a worker that
// cannot start would keep the runner from every job.
func LimitsOf(container uint64) (Limits, error) {
	if container == 0 {
		return Limits{}, nil
	}
	free := max(reserve, container/8)
	if container < free+leastData {
		return Limits{}, fmt.Errorf("the memory limit of the kiln container is %d MiB: set %d MiB or more", container/mib, (reserve+leastData)/mib)
	}
	data := container - free
	return Limits{Data: data, Soft: data / 100 * 85}, nil
}

// apply sets RLIMIT_DATA for another process. The supervisor itself stays
// without: a failed allocation would end it too.
func (l Limits) apply(pid int) error {
	if l.Data == 0 {
		return nil
	}
	limit := unix.Rlimit{Cur: l.Data, Max: l.Data}
	if err := unix.Prlimit(pid, unix.RLIMIT_DATA, &limit, nil); err != nil {
		return fmt.Errorf("limit the worker's memory: %w", err)
	}
	return nil
}

// env tells a worker of the soft limit, unless the environment of this process
// has one.
func (l Limits) env() []string {
	if l.Soft == 0 || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return []string{fmt.Sprintf("GOMEMLIMIT=%d", l.Soft)}
}

// DataLimit returns RLIMIT_DATA of this process, or 0 where there is none.
func DataLimit() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &limit); err != nil || limit.Cur == unix.RLIM_INFINITY {
		return 0
	}
	return int64(limit.Cur) //nolint:gosec // what is more than int64 holds is infinity
}
