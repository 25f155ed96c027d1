package agent

import (
	"bufio"
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroup is where a container finds its own control group: of version 2, or of version 1
// in a directory for each controller.
const cgroup = "/sys/fs/cgroup"

// readKilled is what the control group at a path has counted. What cannot be read is 0.
// Where the whole group is killed at once, as with memory.oom.group, nobody is left to
// read it.
func readKilled(root string) uint64 {
	for _, file := range []string{"/memory.events", "/memory/memory.oom_control"} {
		if counts, err := readSmall(root + file); err == nil {
			return countOf(counts, "oom_kill")
		}
	}
	return 0
}

// readLimit is the limit of the control group at a path.
func readLimit(root string) uint64 {
	for _, file := range []string{"/memory.max", "/memory/memory.limit_in_bytes"} {
		if limit, err := readSmall(root + file); err == nil {
			return memoryLimit(string(limit))
		}
	}
	return 0
}

// memoryLimit reads a limit, in bytes; "max", and what no machine has, is none: 0.
func memoryLimit(text string) uint64 {
	limit, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil || limit > math.MaxInt64/2 {
		return 0
	}
	return limit
}

// countOf finds the value of a name in lines of NAME VALUE.
func countOf(text []byte, name string) uint64 {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseUint(value, 10, 64); key == name && err == nil {
			return n
		}
	}
	return 0
}

// readSmall reads the beginning of a file of the kernel's, which has it in one piece. It
// is read before and after each step, and so without the runtime's poller.
func readSmall(path string) ([]byte, error) {
	file, err := uninterrupted(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, err
	}
	defer unix.Close(file)
	content := make([]byte, 4<<10)
	n, err := uninterrupted(func() (int, error) { return unix.Read(file, content) })
	return content[:max(n, 0)], err
}

// uninterrupted makes a system call until no signal ends it.
func uninterrupted(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
