package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Draft is a request that the shim is staging or has dropped. It is for one
// goroutine.
type Draft struct {
	// ID is the request's id.
	ID string

	exchange *Exchange
	dir      *os.Root
	lock     *Lock
	dropped  bool
	printed  int64
}

// NewDraft starts a request below tmp and takes its lock.
func (e *Exchange) NewDraft() (*Draft, error) {
	id := NewID()
	name := path.Join(dirTmp, id)
	if err := e.root.Mkdir(name, 0o777); err != nil {
		return nil, fmt.Errorf("stage request: %w", err)
	}
	draft := &Draft{ID: id, exchange: e}
	err := e.root.Chmod(name, 0o777)
	if err == nil {
		draft.dir, err = e.root.OpenRoot(name)
	}
	if err == nil {
		draft.lock, err = lockExclusive(draft.dir, fileLock)
	}
	if err != nil {
		draft.Remove()
		return nil, fmt.Errorf("stage request: %w", err)
	}
	return draft, nil
}

// WriteContext stages the build context: write is called with the file to
// fill.
func (d *Draft) WriteContext(write func(io.Writer) error) error {
	file, err := d.dir.OpenFile(fileContext, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("stage context: %w", err)
	}
	err = write(file)
	if err == nil {
		err = file.Chmod(0o666)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Drop writes the request and publishes the draft: from here on the daemon
// sees it.
func (d *Draft) Drop(request Request) error {
	request.Version = Version
	data, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	if len(data) > MaxRequestBytes {
		return fmt.Errorf("the step's inputs and environment take %d bytes, more than the %d that a request may have", len(data), MaxRequestBytes)
	}
	if err := writeFile(d.dir, fileRequest, data); err != nil {
		return fmt.Errorf("stage request: %w", err)
	}
	if err := d.exchange.root.Rename(path.Join(dirTmp, d.ID), path.Join(dirRequests, d.ID)); err != nil {
		return fmt.Errorf("hand over request: %w", err)
	}
	d.dropped = true
	return nil
}

// Cancel tells the daemon that the step is cancelled. Saying it twice is not
// an error.
func (d *Draft) Cancel() error {
	file, err := d.exchange.root.OpenFile(path.Join(dirCancel, d.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cancel request: %w", err)
	}
	return file.Close()
}

// Claimed reports whether the daemon has begun to answer.
func (d *Draft) Claimed() bool {
	info, err := d.exchange.root.Lstat(path.Join(dirResponses, d.ID))
	return err == nil && info.IsDir()
}

// Remove takes the request out of the exchange and releases its lock. It can
// be called at any time, and more than once.
func (d *Draft) Remove() {
	where := dirTmp
	if d.dropped {
		where = dirRequests
	}
	// The daemon sweeps what cannot be removed here.
	_ = d.exchange.root.Remove(path.Join(dirCancel, d.ID))
	_ = d.exchange.root.RemoveAll(path.Join(where, d.ID))
	if d.dir != nil {
		_ = d.dir.Close()
	}
	if d.lock != nil {
		_ = d.lock.Release()
	}
}
