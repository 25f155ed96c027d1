package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is one line of /proc/PID/stat (proc_pid_stat(5)).
type process struct {
	pid, parent, session int
	dead                 bool
}

// A table is every process that this one sees.
type table []process

// readProcesses reads the table. One that ends meanwhile is not in it.
func readProcesses() table {
	var all table
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		if p, ok := parseStat(pid, stat); ok {
			all = append(all, p)
		}
	}
	return all
}

// statFields are the fields of one line from the state on. The program's name, in
// parentheses, may have any byte in it, so they are counted behind its end.
func statFields(stat []byte) []string {
	_, rest, _ := bytes.Cut(stat[max(bytes.LastIndexByte(stat, ')'), 0):], []byte(") "))
	return strings.Fields(string(rest))
}

// parseStat reads one line.
func parseStat(pid int, stat []byte) (process, bool) {
	fields := statFields(stat)
	if len(fields) < 4 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(fields[1])
	session, err2 := strconv.Atoi(fields[3])
	dead := fields[0] == "Z" || fields[0] == "X"
	return process{pid, parent, session, dead}, err1 == nil && err2 == nil
}

// members are the living processes of a session.
func (t table) members(session int) []int {
	var pids []int
	for _, p := range t {
		if p.session == session && !p.dead {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// below are the living processes of a session and everything that has an
// ancestor among its processes, also among those that have ended.
func (t table) below(session int) []int {
	children := map[int][]process{}
	var reached []process
	for _, p := range t {
		children[p.parent] = append(children[p.parent], p)
		if p.session == session {
			reached = append(reached, p)
		}
	}
	seen := map[int]bool{}
	var pids []int
	for len(reached) > 0 {
		p := reached[0]
		reached = reached[1:]
		if seen[p.pid] {
			continue
		}
		seen[p.pid] = true
		if !p.dead {
			pids = append(pids, p.pid)
		}
		reached = append(reached, children[p.pid]...)
	}
	return pids
}

// What a killed session has to be gone: a process may fork while the table is
// read, and one in a system call that nothing interrupts does not end at all.
const (
	killRounds = 50
	killPause  = 2 * time.Millisecond
)

// signalSession sends a signal to a session, whose leader has not been reaped.
// SIGKILL reaches also what left the session but not its parents, and is
// repeated until nothing of it lives.
func signalSession(session int, signal syscall.Signal) {
	if signal != syscall.SIGKILL {
		for _, pid := range readProcesses().members(session) {
			_ = syscall.Kill(pid, signal) // it may have ended
		}
		return
	}
	for range killRounds {
		pids := readProcesses().below(session)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, signal)
		}
		time.Sleep(killPause)
	}
}
