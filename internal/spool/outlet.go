package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
)

// fileOutlet is, in a request, the shim's statement of which way an action's output
// goes, and in a response the daemon's wish to have it.
const fileOutlet = "outlet"

// fileExit is, in a request, the exit code that an action has told the shim.
const fileExit = "exit"

// Way is which way an action's output goes.
type Way string

// The ways. A statement is never changed.
const (
	// Undecided: nothing was stated so far.
	Undecided Way = ""
	// Taken: the action prints into the shim's pipe, and its container's log is empty.
	Taken Way = "taken"
	// Shut: it does not and will not. What it prints is in its container's log.
	Shut Way = "shut"
)

// Say publishes the shim's statement.
func (d *Draft) Say(way Way) error {
	if err := writeFile(d.dir, fileOutlet, []byte(way)); err != nil {
		return fmt.Errorf("say which way the action's output goes: %w", err)
	}
	return nil
}

// SayExit publishes the exit code, 0 to 127, that an action has told the shim.
func (d *Draft) SayExit(code int) error {
	if err := writeFile(d.dir, fileExit, strconv.AppendInt(nil, int64(code), 10)); err != nil {
		return fmt.Errorf("say how the action ended: %w", err)
	}
	return nil
}

// Wanted reports whether the daemon wants the statement now.
func (d *Draft) Wanted() bool {
	_, err := d.exchange.root.Lstat(path.Join(dirResponses, d.ID, fileOutlet))
	return err == nil
}

// Answered returns the daemon's result once it is there, whatever of the log was
// printed. The error says that there will be none.
func (d *Draft) Answered() (Result, bool, error) {
	data, err := readPlain(d.exchange.root, path.Join(dirResponses, d.ID, fileResult), maxResultBytes)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errChanged) {
		return Result{}, false, nil
	}
	if err != nil {
		return Result{}, false, fmt.Errorf("read result: %w", err)
	}
	result, err := parseResult(data)
	return result, err == nil, err
}

// Way returns the shim's statement. What is none counts as none yet.
func (c *Claim) Way() Way {
	const longest = 16
	data, err := readPlain(c.dir, fileOutlet, longest)
	if way := Way(data); err == nil && (way == Taken || way == Shut) {
		return way
	}
	return Undecided
}

// Exit returns the exit code that the action has told the shim, and false while it has
// told none: it need not tell one. It counts only where the action's output is [Taken].
func (c *Claim) Exit() (code int, told bool) {
	const longest = 3
	data, err := readPlain(c.dir, fileExit, longest)
	if err != nil {
		return 0, false
	}
	const most = 127
	number, err := strconv.ParseUint(string(data), 10, 8)
	return int(number), err == nil && number <= most
}

// Want asks the shim for its statement. Asking twice is no error.
func (c *Claim) Want() error {
	err := writeNew(c.response, fileOutlet, nil)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("ask which way the action's output goes: %w", bare(err))
	}
	return nil
}
