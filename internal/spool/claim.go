package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

// Claim is the daemon's end of a request that it has begun to answer.
type Claim struct {
	// ID is the request's id.
	ID string
	// Request is what was asked, once [Claim.Load] has read it and when Bad is nil.
	Request Request
	// Bad says why the request cannot be read. It is answered like any other,
	// with an error for its author.
	Bad error
	// Dropped is when the shim handed the request over, by the clock of the
	// file system; zero where that does not say. Whoever can write into the
	// exchange can put it off.
	Dropped time.Time
	// Log is the step's log.
	Log *Log
	// Resumed says that an earlier run of the daemon had begun to answer. Mark is then
	// where the log was Behind bytes before its end, nil for its beginning, and Open
	// says that its last line has no end.
	Resumed bool
	Mark    json.RawMessage
	Behind  int64
	Open    bool
	// Response is what the runner is to read in its response file, as the request's
	// handler has it; nil for nothing.
	Response json.RawMessage
	// Left says that something of an earlier run may be left in the cluster, as the
	// request's handler has it.
	Left bool

	exchange *Exchange
	dir      *os.Root
	response *os.Root
	lock     *os.File
	reserve  *os.File
	answered bool
}

// resultReserve is the space in bytes that every claim takes for its result,
// so that a full disk does not keep the shim from it.
const resultReserve = 4 << 10

// ErrAnswered is returned for a request that has a result already.
var ErrAnswered = errors.New("the request has its result")

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
// its log that may wait to be printed. An answer that an earlier run of the
// daemon began is begun anew; see [Exchange.Resume] to go on with it. The error means that nothing can be answered:
// the exchange itself fails, the request is gone or no directory, or it has
// its result ([ErrAnswered]).
func (e *Exchange) Claim(id string, backlog int64) (*Claim, error) {
	return e.open(id, backlog, e.makeResponse)
}

// open is Claim with a way to the directory of the answer.
func (e *Exchange) open(id string, backlog int64, answer func(id string) (*os.Root, error)) (*Claim, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	dir, err := openDir(e.root, path.Join(dirRequests, id))
	if err != nil {
		return nil, fmt.Errorf("open request %s: %w", id, err)
	}
	response, err := answer(id)
	if err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("answer request %s: %w", id, err)
	}
	claim := &Claim{ID: id, Log: newLog(response, backlog), exchange: e, dir: dir, response: response}
	claim.Dropped = droppedAt(dir)
	claim.reserve = takeReserve(response)
	if claim.lock, err = openPlain(claim.dir, fileLock); err != nil {
		claim.Bad = fmt.Errorf("the request has no lock: %w", err)
	}
	return claim, nil
}

// droppedAt is when the request in dir came to its place: the move there was
// the last change of the directory's inode (rename(2) updates the status change
// time on Linux's file systems), which nobody can set at will.
func droppedAt(dir *os.Root) time.Time {
	info, err := dir.Stat(".")
	if err != nil {
		return time.Time{}
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Time{}
	}
	return time.Unix(stat.Ctim.Unix())
}

// makeResponse makes the directory of an answer, in place of whatever the
// other side may have put there.
func (e *Exchange) makeResponse(id string) (*os.Root, error) {
	name := path.Join(dirResponses, id)
	if _, err := readPlain(e.root, path.Join(name, fileResult), maxResultBytes); err == nil {
		return nil, ErrAnswered
	}
	if err := removeFlat(e.root, name); err != nil {
		return nil, err
	}
	if err := makeOpen(e.root, name); err != nil {
		return nil, err
	}
	return openDir(e.root, name)
}

// reserve writes the file that becomes the result. Without it the result is
// written like any other file.
func reserve(response *os.Root) *os.File {
	if writeNew(response, fileReserve, make([]byte, resultReserve)) != nil {
		return nil
	}
	return openReserve(response)
}

// openReserve opens the file that becomes the result.
func openReserve(response *os.Root) *os.File {
	file, err := response.OpenFile(fileReserve, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	return file
}

// Load reads what is asked. It is not part of [Exchange.Claim], so that a request
// that waits for its turn holds no more than its directories: it may have
// MaxRequestBytes, and anybody can drop many.
func (c *Claim) Load() {
	if c.Bad != nil {
		return
	}
	data, err := readPlain(c.dir, fileRequest, MaxRequestBytes)
	if err != nil {
		c.Bad = err
		return
	}
	c.Request, c.Bad = parseRequest(data)
}

// Context opens the staged context. Its bytes can change while they are read.
func (c *Claim) Context() (*os.File, error) { return openPlain(c.dir, fileContext) }

// Waited is the time since the request was handed over; 0 where that is not
// known, or where the file system's clock is ahead.
func (c *Claim) Waited() time.Duration {
	if c.Dropped.IsZero() {
		return 0
	}
	return max(0, time.Since(c.Dropped))
}

// Vanished reports whether the shim has gone: its lock is free, or the
// request is not in the exchange any more.
func (c *Claim) Vanished() bool {
	if _, err := c.exchange.root.Lstat(path.Join(dirRequests, c.ID)); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return c.lock == nil || free(c.lock)
}

// Finish publishes the rest of the log and the result, which it may be called
// again for when it failed. Where the log could not be written, the result
// says so and the code is not zero. After [Log.Stop] it returns
// [ErrLogStopped]: nobody waits for a result.
func (c *Claim) Finish(exitCode int) error { return c.Answer(exitCode, nil) }

// maxResponseBytes is what a response may have, beside all else that a result has.
const maxResponseBytes = maxResultBytes - 16<<10

// Answer is [Claim.Finish] with what the runner is to read in its response file,
// at most 48 KiB of JSON; nil for nothing. A request that has its result keeps it.
func (c *Claim) Answer(exitCode int, response json.RawMessage) error {
	if c.answered {
		return nil
	}
	if len(response) > maxResponseBytes {
		return fmt.Errorf("the response has %d bytes, more than the %d that it may have", len(response), maxResponseBytes)
	}
	if c.Log.isStopped() {
		return ErrLogStopped
	}
	err := c.Log.Flush()
	result := Result{ExitCode: exitCode, LogBytes: c.Log.published(), Response: response}
	if err != nil {
		result.ExitCode = max(exitCode, 1)
		result.Message = fmt.Sprintf("the rest of the step's log is lost: %v", err)
	}
	err = c.finish(result)
	c.answered = err == nil
	return err
}

// finish writes the result.
func (c *Claim) finish(result Result) error {
	result.Version = Version
	data, err := encode(result)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	defer c.closeReserve()
	if c.fill(data) {
		return nil
	}
	return writeFile(c.response, fileResult, data)
}

// fill writes the result into the space that was reserved for it.
func (c *Claim) fill(data []byte) bool {
	if c.reserve == nil || len(data) > resultReserve {
		return false
	}
	_, err := c.reserve.WriteAt(data, 0)
	if err == nil {
		err = c.reserve.Truncate(int64(len(data)))
	}
	return err == nil && c.response.Rename(fileReserve, fileResult) == nil
}

// closeReserve closes what the result was or would have been written to.
func (c *Claim) closeReserve() {
	if c.reserve != nil {
		_ = c.reserve.Close()
		c.reserve = nil
	}
}

// Close releases the claim's files. The log takes no more writes.
func (c *Claim) Close() {
	c.Log.Stop()
	_ = c.dir.Close()
	_ = c.response.Close()
	c.closeReserve()
	if c.lock != nil {
		_ = c.lock.Close()
	}
}

// Abandon answers the request id that an earlier run of the daemon left
// unfinished. The shim prints message after what it finds of the log. A
// request that has its result keeps it.
func (e *Exchange) Abandon(id, message string) error {
	if err := checkID(id); err != nil {
		return err
	}
	response, err := openDir(e.root, path.Join(dirResponses, id))
	if err != nil {
		response, err = e.makeResponse(id)
	}
	if err != nil {
		return fmt.Errorf("answer request %s: %w", id, err)
	}
	defer response.Close()
	if _, err := readPlain(response, fileResult, maxResultBytes); err == nil {
		return nil
	}
	claim := Claim{response: response, reserve: openReserve(response)}
	return claim.finish(Result{ExitCode: 1, Message: message})
}

// Clear removes everything of the request id that can be removed: what a
// vanished shim left, and the answer. The error names what stays: what
// another user made unremovable, or nested directories, which kiln never
// makes.
func (e *Exchange) Clear(id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	var errs []error
	for _, dir := range []string{dirRequests, dirCancel, dirResponses} {
		errs = append(errs, removeFlat(e.root, path.Join(dir, id)))
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
			errs = append(errs, removeFlat(e.root, path.Join(dirTmp, name)))
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
	if !info.IsDir() {
		return true // no shim's
	}
	lock, err := openPlain(e.root, path.Join(name, fileLock))
	if err != nil {
		// Without file descriptors, say, nothing is known about the shim.
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotPlain)
	}
	defer lock.Close()
	return free(lock)
}
