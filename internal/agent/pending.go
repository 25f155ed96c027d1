package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// handlerLimit is how long a thread may take to hand a signal that it took to the Go
// runtime. Where the state of threads is not told as Linux does, every action takes it.
const handlerLimit = time.Second

// pending reports whether one of the signals was sent to this process and waits in the
// kernel for a thread to take it. Where there is no /proc none does.
func pending(signals []os.Signal) bool {
	status, err := readSmall("/proc/self/status")
	if err != nil {
		return false
	}
	mask := pendingMask(status)
	return slices.ContainsFunc(signals, func(s os.Signal) bool {
		number, ok := s.(syscall.Signal)
		return ok && mask>>(number-1)&1 == 1
	})
}

// awaitHandlers waits until the Go runtime has every signal that a thread of this process
// has taken: a thread does not sleep on the way.
func awaitHandlers() {
	for end := time.Now().Add(handlerLimit); !othersSleep() && time.Now().Before(end); {
		time.Sleep(clearPause)
	}
}

// othersSleep reports whether every other thread of this process sleeps.
func othersSleep() bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err1 := os.Readlink("/proc/thread-self") // ids in /proc may be those of another namespace
	threads, err2 := os.ReadDir("/proc/self/task")
	if err1 != nil || err2 != nil {
		return true
	}
	return !slices.ContainsFunc(threads, func(thread os.DirEntry) bool {
		stat, err := readSmall("/proc/self/task/" + thread.Name() + "/stat")
		if err != nil || thread.Name() == filepath.Base(own) { // or it has ended
			return false
		}
		fields := statFields(stat)
		return len(fields) > 0 && fields[0] != "S"
	})
}

// pendingMask reads off a process's status which signals wait for the whole of it, bit 0
// for signal 1 (proc_pid_status(5)). What is not as the kernel writes it is none.
func pendingMask(status []byte) uint64 {
	for line := range bytes.Lines(status) {
		value, found := bytes.CutPrefix(line, []byte("ShdPnd:\t"))
		if !found {
			continue
		}
		digits, whole := bytes.CutSuffix(value, []byte("\n"))
		mask, err := strconv.ParseUint(string(digits), 16, 64)
		if err != nil || !whole || len(digits) != 16 {
			return 0
		}
		return mask
	}
	return 0
}
