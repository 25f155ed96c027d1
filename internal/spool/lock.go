package spool

import (
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"
	"time"
)

// ErrLocked is returned when another process holds a lock.
var ErrLocked = errors.New("lock is held by another process")

// Lock is a held flock. It ends with Release or with the process.
type Lock struct{ file *os.File }

// Release ends the lock.
func (l *Lock) Release() error { return l.file.Close() }

// lockExclusive takes the lock name below root without waiting, making the
// file when it is missing.
func lockExclusive(root *os.Root, name string) (*Lock, error) {
	file, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, modeFile)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = file.Chmod(modeFile)
	if errors.Is(err, os.ErrPermission) {
		err = nil // another user's file that this one can open all the same
	}
	if err == nil {
		err = flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &Lock{file: file}, nil
}

// free reports whether nobody holds the lock of file. The shared lock is
// given back at once, and it never waits: a blocking flock is a thread that a
// hostile holder never gives back.
func free(file *os.File) bool {
	if flock(file, syscall.LOCK_SH|syscall.LOCK_NB) != nil {
		return false
	}
	_ = flock(file, syscall.LOCK_UN)
	return true
}

// flock applies how to file through its descriptor.
func flock(file *os.File, how int) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) { lockErr = syscall.Flock(int(fd), how) })
	if err != nil {
		return err
	}
	if errors.Is(lockErr, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return lockErr
}

// LockDaemon takes the daemon's lock, or returns [ErrLocked]. It is a hint for
// shims alone: whoever can write the exchange can hold it, so a daemon that
// finds it held serves all the same and tries again later. A shim that looks
// holds it for a moment, so it is tried for some milliseconds.
func (e *Exchange) LockDaemon() (*Lock, error) {
	info, err := e.root.Lstat(fileDaemon)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("lock exchange: %s %w", fileDaemon, errNotPlain)
	}
	var lock *Lock
	for range lockTries {
		lock, err = lockExclusive(e.root, fileDaemon)
		if !errors.Is(err, ErrLocked) {
			break
		}
		time.Sleep(lockPause)
	}
	if err != nil {
		return nil, fmt.Errorf("lock exchange: %w", err)
	}
	return lock, nil
}

// How long a lock that somebody holds is tried.
const (
	lockTries = 10
	lockPause = time.Millisecond
)

// DaemonAlive reports whether some process holds the daemon's lock.
func (e *Exchange) DaemonAlive() bool {
	file, err := openPlain(e.root, fileDaemon)
	if err != nil {
		return false
	}
	defer file.Close()
	return !free(file)
}

// Vanished reports whether nobody holds the lock of the request id: its shim
// has gone, or the request is not one.
func (e *Exchange) Vanished(id string) bool {
	lock, err := openPlain(e.root, path.Join(dirRequests, id, fileLock))
	if err != nil {
		return true
	}
	defer lock.Close()
	return free(lock)
}
