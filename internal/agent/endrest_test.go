package agent

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What is left of an action is looked at, however late it is.
func TestEndRestLooks(t *testing.T) {
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "exit 0"}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if !endRest(0) || syscall.Kill(pid, 0) != syscall.ESRCH {
		t.Error("a process that has ended is not reaped")
	}
}
