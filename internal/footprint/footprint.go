// Package footprint gives back the memory that a process does not need while it waits. Of
// a program that has started, most that it has resident are pages of the program itself,
// which its start alone has touched: they are mapped, and so stay in memory, as long as it
// lives.
//
// What is given back comes again when it is needed, at the cost of page faults: those of
// the program from the page cache, and from the disk only where the node was so short of
// memory that it has dropped them there too.
package footprint

import (
	"bufio"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Shrink returns unused memory of the heap and the pages of the program to the system.
// Where that cannot be done nothing happens. It is for a process with nothing to do: it
// collects garbage. It may be called at any time.
func Shrink() {
	debug.FreeOSMemory()
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, r := range programs(maps, own) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED)
	}
}

// region is a part of the address space, up to but without to.
type region struct{ from, to uintptr }

// programs are the mappings of a file that nothing can have been written to: what is
// dropped of them is read from the file again (madvise(2), MADV_DONTNEED). Maps are a
// process's as proc_pid_maps(5) has them.
func programs(maps io.Reader, file string) []region {
	var found []region
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 6 || fields[5] != file || fields[1] != "r-xp" && fields[1] != "r--p" {
			continue
		}
		first, last, _ := strings.Cut(fields[0], "-")
		from, err := strconv.ParseUint(first, 16, 64)
		to, badEnd := strconv.ParseUint(last, 16, 64)
		if err == nil && badEnd == nil && from < to {
			found = append(found, region{uintptr(from), uintptr(to)})
		}
	}
	return found
}
