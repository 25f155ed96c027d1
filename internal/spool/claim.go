package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"
)

// Claim is the daemon's end of a request that it has begun to answer.
type Claim struct {
	// ID is the request's id.
	ID string
	// Request is what was asked, when Bad is nil.
	Request Request
	// Bad says why the request cannot be read. It is answered like any other,
	// with an error for its author.
	Bad error
	// Log is the step's log.
	Log *Log

	exchange *Exchange
	dir      *os.Root
	response *os.Root
	lock     *os.File
}

// Requests returns the ids of the requests that are in the exchange, and how
// many other names lie beside them. At most ten thousand names are looked at.
func (e *Exchange) Requests() (ids []string, foreign int, err error) {
	return e.ids(dirRequests)
}

// Cancelled returns the ids that their shim wants cancelled.
func (e *Exchange) Cancelled() (ids []string, err error) {
	ids, _, err = e.ids(dirCancel)
	return ids, err
}

// Responses returns the ids that have an answer, whole or begun.
func (e *Exchange) Responses() (ids []string, err error) {
	ids, _, err = e.ids(dirResponses)
	return ids, err
}

// ids lists the valid ids of a directory and counts the other names.
func (e *Exchange) ids(dir string) (ids []string, foreign int, err error) {
	names, err := readNames(e.root, dir)
	if err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", dir, err)
	}
	for _, name := range names {
		if ValidID(name) {
			ids = append(ids, name)
		} else {
			foreign++
		}
	}
	return ids, foreign, nil
}

// Claim opens the request id for answering; backlog is the number of bytes of
// its log that may wait to be printed. The error means that nothing can be
// answered: the exchange itself fails, or the request is gone.
func (e *Exchange) Claim(id string, backlog int64) (*Claim, error) {
	dir, err := openDir(e.root, path.Join(dirRequests, id))
	if err != nil {
		return nil, fmt.Errorf("open request %s: %w", id, err)
	}
	response, err := e.makeResponse(id)
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	claim := &Claim{ID: id, Log: newLog(response, backlog), exchange: e, dir: dir, response: response}
	claim.Request, claim.Bad = claim.read()
	return claim, nil
}

// makeResponse makes the directory of an answer, in place of whatever the
// other side may have put there.
func (e *Exchange) makeResponse(id string) (*os.Root, error) {
	name := path.Join(dirResponses, id)
	err := e.root.Mkdir(name, 0o777)
	if errors.Is(err, fs.ErrExist) {
		if err = e.root.RemoveAll(name); err == nil {
			err = e.root.Mkdir(name, 0o777)
		}
	}
	if err == nil {
		err = e.root.Chmod(name, 0o777)
	}
	if err != nil {
		return nil, fmt.Errorf("answer request %s: %w", id, err)
	}
	return openDir(e.root, name)
}

// read opens the request's lock and reads what is asked.
func (c *Claim) read() (Request, error) {
	lock, err := openPlain(c.dir, fileLock)
	if err != nil {
		return Request{}, fmt.Errorf("the request has no lock: %w", err)
	}
	c.lock = lock
	data, err := readPlain(c.dir, fileRequest, MaxRequestBytes)
	if err != nil {
		return Request{}, err
	}
	return parseRequest(data)
}

// Context opens the staged context. Its bytes can change while they are read.
func (c *Claim) Context() (*os.File, error) { return openPlain(c.dir, fileContext) }

// Vanished reports whether the shim has gone: its lock is free, or the
// request is not in the exchange any more.
func (c *Claim) Vanished() bool {
	if _, err := c.exchange.root.Lstat(path.Join(dirRequests, c.ID)); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return c.lock == nil || free(c.lock)
}

// Finish publishes the rest of the log and the result.
func (c *Claim) Finish(exitCode int) error {
	if err := c.Log.Flush(); err != nil {
		return err
	}
	return c.finish(Result{ExitCode: exitCode, LogBytes: c.Log.Bytes()})
}

// finish writes the result.
func (c *Claim) finish(result Result) error {
	result.Version = Version
	data, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if err := writeFile(c.response, fileResult, data); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// Close releases the claim's files. The log takes no more writes.
func (c *Claim) Close() {
	c.Log.Stop()
	_ = c.dir.Close()
	_ = c.response.Close()
	if c.lock != nil {
		_ = c.lock.Close()
	}
}

// Abandon answers the request id that an earlier run of the daemon left
// unfinished. The shim prints message after what it finds of the log.
func (e *Exchange) Abandon(id, message string) error {
	response, err := openDir(e.root, path.Join(dirResponses, id))
	if errors.Is(err, fs.ErrNotExist) {
		response, err = e.makeResponse(id)
	}
	if err != nil {
		return fmt.Errorf("answer request %s: %w", id, err)
	}
	defer response.Close()
	claim := Claim{response: response}
	return claim.finish(Result{ExitCode: 1, Message: message})
}

// Clear removes everything of the request id that can be removed: what a
// vanished shim left, and the answer. The error names what stays.
func (e *Exchange) Clear(id string) error {
	var errs []error
	for _, dir := range []string{dirRequests, dirCancel, dirResponses} {
		errs = append(errs, e.root.RemoveAll(path.Join(dir, id)))
	}
	return errors.Join(errs...)
}

// Sweep removes the drafts below tmp that are older than age and whose shim
// has vanished. The error names what stays.
func (e *Exchange) Sweep(age time.Duration) error {
	names, err := readNames(e.root, dirTmp)
	if err != nil {
		return fmt.Errorf("list %s: %w", dirTmp, err)
	}
	var errs []error
	for _, name := range names {
		if e.abandoned(path.Join(dirTmp, name), age) {
			errs = append(errs, e.root.RemoveAll(path.Join(dirTmp, name)))
		}
	}
	return errors.Join(errs...)
}

// abandoned reports whether the draft name is older than age and unlocked.
func (e *Exchange) abandoned(name string, age time.Duration) bool {
	info, err := e.root.Lstat(name)
	if err != nil || time.Since(info.ModTime()) < age {
		return false
	}
	lock, err := openPlain(e.root, path.Join(name, fileLock))
	if err != nil {
		return true
	}
	defer lock.Close()
	return free(lock)
}
