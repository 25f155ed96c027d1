package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"
	"time"
)

// Check looks for what keeps the daemon from seeing or answering a request, and
// mends what it can: modes that were changed, directories that were removed or
// made something else, names that are no request's and older than foreignAge. The
// error names what is left: the exchange is full, or was replaced, or one of its
// directories is another user's, or holds more names than are looked at.
func (e *Exchange) Check() error {
	return errors.Join(e.same(), e.cleared(), e.Init(), e.writable(), e.surveyed(foreignAge))
}

// same reports whether the directory that is open is the one that shims find.
func (e *Exchange) same() error {
	found, err := os.Stat(e.path)
	if err != nil {
		return fmt.Errorf("the exchange is not there: %w", err)
	}
	opened, err := e.root.Stat(".")
	if err != nil {
		return fmt.Errorf("read exchange: %w", err)
	}
	if !os.SameFile(found, opened) {
		return fmt.Errorf("the exchange %s was replaced by another directory", e.path)
	}
	return nil
}

// cleared removes what is no directory and has the name of one of the exchange's.
func (e *Exchange) cleared() error {
	var errs []error
	for _, dir := range directories() {
		if info, err := e.root.Lstat(dir); err == nil && !info.IsDir() {
			errs = append(errs, e.root.Remove(dir))
		}
	}
	return errors.Join(errs...)
}

// writable reports whether a file with some content can be made: without bytes, or
// without inodes, nothing can.
func (e *Exchange) writable() error {
	probe := "." + rand.Text()
	err := writeNew(e.root, probe, make([]byte, resultReserve))
	_ = e.root.Remove(probe)
	if err != nil {
		return fmt.Errorf("the exchange %s cannot be written: %w", e.path, bare(err))
	}
	return nil
}

// foreignAge is how old a name has to be that is no request's: shims and the
// daemon itself give names that begin with a dot to what is on its way.
const foreignAge = 10 * time.Second

// surveyed removes foreign names, and reports directories that hold more names
// than one look takes: what lies behind them is not seen.
func (e *Exchange) surveyed(age time.Duration) error {
	var errs []error
	for _, dir := range directories() {
		names, err := readNames(e.root, dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("list %s: %w", dir, err))
			continue
		}
		if len(names) >= maxNames {
			errs = append(errs, fmt.Errorf("%s holds %d names or more: what lies behind them is not seen; remove them", path.Join(e.path, dir), maxNames))
		}
		if dir == dirTmp {
			continue // Sweep knows better
		}
		for _, name := range names {
			if !ValidID(name) && e.older(path.Join(dir, name), age) {
				_ = removeFlat(e.root, path.Join(dir, name))
			}
		}
	}
	return errors.Join(errs...)
}

// older reports whether the last change of name's inode is longer ago than age:
// nobody can set that time at will.
func (e *Exchange) older(name string, age time.Duration) bool {
	info, err := e.root.Lstat(name)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && time.Since(time.Unix(stat.Ctim.Unix())) >= age
}
