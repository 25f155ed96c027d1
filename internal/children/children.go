// Package children is the one owner of a process's waits: it starts programs,
// keeps how each of them ended, and reaps what other processes left behind,
// so that a process that is the first of a container leaves no zombie.
//
// A process has at most one [Set] and starts nothing in another way: a wait
// for any child takes the status that os/exec waits for.
//
// A process id can be given to a stranger as soon as its process is reaped. A
// Set reaps under a lock and signals under the same, so [Child.Signal] and
// [Child.Alive] never meet one.
package children

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Set is the children of this process. All methods of it and of its children
// can be called at the same time.
type Set struct {
	mu      sync.Mutex
	started map[int]*Child // not reaped
	ended   chan os.Signal
	over    chan struct{} // closed behind the last reaping
}

// A Child is a program that the set started.
type Child struct {
	set    *Set
	pid    int
	done   chan struct{}
	status syscall.WaitStatus // written before done is closed
}

// Own begins to reap what ends, until [Set.Release].
func Own() *Set {
	s := &Set{started: map[int]*Child{}, ended: make(chan os.Signal, 1), over: make(chan struct{})}
	signal.Notify(s.ended, syscall.SIGCHLD)
	go func() {
		defer close(s.over)
		for range s.ended {
			s.reap()
		}
	}()
	return s
}

// Release ends the reaping, and reaps nothing once it has returned. Children that run
// keep running.
func (s *Set) Release() {
	signal.Stop(s.ended)
	close(s.ended)
	<-s.over
}

// Adopt makes this process the parent of every process below it whose own
// parent ends, as the first process of a container is without asking: with a
// process namespace that a whole pod shares it is another that is the first.
func Adopt() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of processes without one: %w", err)
	}
	return nil
}

// Start starts the program at path. Signals that this process handles have
// their default effect on it, and its limit of open files is the one that this
// process began with; package syscall does both.
func (s *Set) Start(path string, argv []string, attr *syscall.ProcAttr) (*Child, error) {
	s.mu.Lock() // a program that ends at once is not reaped before it is known
	defer s.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return nil, err
	}
	child := &Child{set: s, pid: pid, done: make(chan struct{})}
	s.started[pid] = child
	return child, nil
}

// reap takes the status of every child that has ended. Signals that come close
// to one another are one, so there can be any number of them.
func (s *Set) reap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid == 0 {
			return // no child at all, or none that has ended
		}
		if child := s.started[pid]; child != nil {
			delete(s.started, pid)
			child.status = status
			close(child.done)
		}
	}
}

// Done is closed when the child has ended and is reaped.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait waits until the child has ended and returns how.
func (c *Child) Wait() syscall.WaitStatus {
	<-c.done
	return c.status
}

// Signal sends the child a signal. One that is reaped gets none.
func (c *Child) Signal(s syscall.Signal) (err error) {
	c.Alive(func(pid int) { err = syscall.Kill(pid, s) })
	return err
}

// Alive calls f with the child's process id unless it is reaped, and nothing
// is reaped before f has returned: until then no process has that id, nor a
// session or a group of that id, but the child and what it started.
func (c *Child) Alive(f func(pid int)) bool {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if c.set.started[c.pid] != c {
		return false
	}
	f(c.pid)
	return true
}
