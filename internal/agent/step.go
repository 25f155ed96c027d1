package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"kiln/internal/children"
)

// A launcher starts steps in its container.
type launcher struct {
	set  *children.Set
	env  []string // what every step's environment begins with
	home string   // where neither container nor call says it
	dir  string   // the container's working directory

	limits []Limit // of steps whose call has none
}

// newLauncher reads what the container began with, and sets what a step is to
// find as its own.
func newLauncher(set *children.Set, unset []string) (*launcher, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("the container's working directory: %w", err)
	}
	syscall.Umask(0o022)
	// What the container's process was started with beside its streams is not a
	// step's; kernels before 5.11 do not know the flag.
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	return &launcher{set: set, env: containerEnv(os.Environ(), unset), home: homeDir(os.Getuid()), dir: dir}, nil
}

// A step is a program that runs, with its session.
type step struct {
	child  *children.Child
	before uint64 // processes of the container that were killed for want of memory, at its start

	stopped bool // told to end with its container; written while the child is alive, read after its end
}

// start starts a call's program on output, which stays the caller's to close.
func (l *launcher) start(call Call, output int) (*step, error) {
	env := stepEnv(l.env, call, l.home)
	dir := l.dir
	if call.Dir != "" {
		dir = from(l.dir, call.Dir)
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	path, err := lookPath(call.Argv[0], dir, lookupEnv(env, "PATH"))
	if err != nil {
		return nil, err
	}
	input, err := endedInput()
	if err != nil {
		return nil, &startError{what: "standard input", err: err}
	}
	defer unix.Close(input)
	before := readKilled(cgroup)
	child, err := l.execute(path, call, &syscall.ProcAttr{
		Dir: dir, Env: env, Sys: &syscall.SysProcAttr{Setsid: true},
		Files: []uintptr{uintptr(input), uintptr(output), uintptr(output)},
	})
	if err == nil {
		return &step{child: child, before: before}, nil
	}
	if own, ok := errors.AsType[*startError](err); ok {
		return nil, own
	}
	return nil, execError(call.Argv[0], from(dir, path), err)
}

// execute starts a program that was found.
func (l *launcher) execute(path string, call Call, attr *syscall.ProcAttr) (*children.Child, error) {
	if len(call.Limits) == 0 {
		call.Limits = l.limits
	}
	if len(call.Limits) > 0 {
		return startLimited(l.set, path, call, attr)
	}
	return l.set.Start(path, call.Argv, attr)
}

// endedInput is a pipe that nobody writes to: what a step has as standard input
// where the runner closes that of its `docker exec`.
func endedInput() (int, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return -1, err
	}
	_ = unix.Close(ends[1])
	if err := unix.Fchmod(ends[0], 0o666); err != nil {
		return -1, errors.Join(err, unix.Close(ends[0]))
	}
	return ends[0], nil
}

// signal passes a signal on to the step's session, unless it has ended.
func (s *step) signal(signal syscall.Signal) {
	s.child.Alive(func(pid int) { signalSession(pid, signal) })
}

// stop tells the step to end with its container, unless it has ended.
func (s *step) stop() {
	s.child.Alive(func(pid int) {
		s.stopped = true
		signalSession(pid, syscall.SIGTERM)
	})
}

// outOfMemory is the frame for a step beside which the container ran out of memory; there
// is none if it did not.
func (s *step) outOfMemory() (f frame, was bool) {
	if readKilled(cgroup) <= s.before {
		return frame{}, false
	}
	return frame{kindOutOfMemory, binary.BigEndian.AppendUint64(nil, readLimit(cgroup))}, true
}

// outcome waits for the step's end and returns the frame that tells it.
func (s *step) outcome() frame {
	status := s.child.Wait()
	if status.Signaled() {
		return frame{kindSignalled, []byte{byte(status.Signal())}}
	}
	return frame{kindExited, []byte{byte(status.ExitStatus())}}
}

// A roster is the steps that run.
type roster struct {
	mu    sync.Mutex
	steps map[*step]bool
	full  bool // no further one
}

// errEnding is why no step starts any more.
var errEnding = errors.New("the container is told to end")

// add starts a step and enters it, before [roster.close] or not at all.
func (r *roster) add(start func() (*step, error)) (*step, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		return nil, errEnding
	}
	s, err := start()
	if err == nil {
		r.steps[s] = true
	}
	return s, err
}

func (r *roster) remove(s *step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.steps, s)
}

// close lets no further step in and returns those that run.
func (r *roster) close() []*step {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = true
	return slices.Collect(maps.Keys(r.steps))
}
