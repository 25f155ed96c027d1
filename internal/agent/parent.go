package agent

import (
	"errors"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kiln/internal/children"
)

// maxExit is the highest exit code that an action's end is told with. What is above says
// by which signal something ended, and why that came is the kubelet's to say.
const maxExit = 127

// What is left of an action has clearLimit to end, or foreignLimit where it may be another
// user's, and is looked at every clearPause.
const (
	clearLimit   = 3 * time.Second
	foreignLimit = 200 * time.Millisecond
	clearPause   = time.Millisecond
)

// A parent is the first process of an action's container, which starts the action.
type parent struct {
	conn net.Conn // to the outlet
}

// run runs an action and returns its exit code. It tells the outlet of the end, once
// nothing runs any more that the action started, unless somebody else may know more of
// it: who sent a signal, or the kernel that was out of memory. The error is a
// *startError: there is no action.
func (p *parent) run(argv []string) (code int, err error) {
	path, err := lookPath(argv[0], ".", os.Getenv("PATH"))
	if err != nil {
		return 0, err
	}
	before := readKilled(cgroup)
	signals := make(chan os.Signal, 16)
	passing := passedSignals()
	signal.Notify(signals, passing...)
	set := children.Own()
	child, err := set.Start(path, argv, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, execError(argv[0], path, err)
	}
	passed := pass(child, signals, passing)
	status := child.Wait()
	set.Release()
	if status.Signaled() {
		return exitNotStarted + int(status.Signal()), nil
	}
	code = status.ExitStatus()
	if code <= maxExit && !passed && endRest(restLimit()) && readKilled(cgroup) == before {
		_ = (&peer{p.conn}).send(frame{kindExited, []byte{byte(code)}}) // the kubelet tells it too
	}
	return code, nil
}

// passedSignals are those that the first process of a container hands on. What it began
// with as ignored stays so, also for the action.
func passedSignals() []os.Signal {
	var all []os.Signal
	for number := syscall.Signal(1); number <= 64; number++ {
		switch number {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGPIPE, unix.SIGURG: // SIGURG is the Go runtime's
		default:
			if !signal.Ignored(number) {
				all = append(all, number)
			}
		}
	}
	return all
}

// pass hands signals on to the action until it has ended, and reports whether one came,
// or is about to.
func pass(child *children.Child, signals chan os.Signal, passing []os.Signal) (came bool) {
	for {
		select {
		case <-child.Done():
			came = came || pending(passing)
			if !came {
				awaitHandlers() // Stop waits only for what the runtime has
			}
			signal.Stop(signals) // none is on its way behind this
			return came || len(signals) > 0
		case s := <-signals:
			came = true
			if number, ok := s.(syscall.Signal); ok {
				_ = child.Signal(number) // another user's process gets none
			}
		}
	}
}

// restLimit is how long what is left of an action may take to end. What is another
// user's, as of sudo, only the kernel can end.
func restLimit() time.Duration {
	if os.Getuid() != 0 {
		return foreignLimit
	}
	return clearLimit
}

// endRest ends what the action has left running, as the kernel does at the end of a
// container's first process, and reports whether all of it is gone. It looks once more
// behind the limit: what ended while this process was not scheduled counts.
func endRest(limit time.Duration) bool {
	for end := time.Now().Add(limit); ; time.Sleep(clearPause) {
		last := !time.Now().Before(end)
		if os.Getpid() == 1 { // else it would be everybody's processes
			_ = syscall.Kill(-1, syscall.SIGKILL)
		}
		if gone := reapAll(); gone || last {
			return gone
		}
	}
}

// reapAll reaps what has ended, and reports whether no child is left.
func reapAll() bool {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			return true
		case err == nil && pid == 0:
			return false
		}
	}
}
