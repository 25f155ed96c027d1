package agent

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroup is where a container finds its own control group: of version 2, or of version 1
// in a directory for each controller.
const cgroup = "/sys/fs/cgroup"

// memory is what a container's control group says of its memory.
type memory struct {
	killed uint64 // processes that were killed because there was none left
	limit  uint64 // in bytes; 0 where there is none, or it is not known
}

// readMemory reads the control group at a path. What cannot be read is 0. Where the whole
// group is killed at once, as with memory.oom.group, nobody is left to read it.
func readMemory(root string) memory {
	for _, files := range [][2]string{
		{"memory.events", "memory.max"},
		{"memory/memory.oom_control", "memory/memory.limit_in_bytes"},
	} {
		counts, err := readSmall(filepath.Join(root, files[0]))
		if err != nil {
			continue
		}
		limit, _ := readSmall(filepath.Join(root, files[1]))
		return memory{killed: countOf(counts, "oom_kill"), limit: memoryLimit(string(limit))}
	}
	return memory{}
}

// memoryLimit reads a limit; "max", and what no machine has, is none.
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

// readSmall reads the beginning of a file of the kernel's.
func readSmall(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, 4<<10))
}
