package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Draft is a request that the shim is staging or has dropped. It is for one
// goroutine, but for [Draft.Cancel].
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
func (e *Exchange) NewDraft() (*Draft, error) { return e.newDraft(NewID()) }

// newDraft starts what will have that id.
func (e *Exchange) newDraft(id string) (*Draft, error) {
	name := path.Join(dirTmp, id)
	if err := e.root.Mkdir(name, modeDir); err != nil {
		return nil, fmt.Errorf("stage request: make %s: %w", dirTmp, bare(err))
	}
	draft := &Draft{ID: id, exchange: e}
	err := e.root.Chmod(name, modeDir)
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
// fill. Its error is returned as it is.
func (d *Draft) WriteContext(write func(io.Writer) error) error {
	file, err := d.dir.OpenFile(fileContext, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeFile)
	if err != nil {
		return fmt.Errorf("stage context: %w", bare(err))
	}
	err = write(file)
	if err == nil {
		err = file.Chmod(modeFile)
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
	data, err := encode(request)
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
// an error. It can be called beside every other method except [Draft.Remove].
func (d *Draft) Cancel() error {
	file, err := d.exchange.root.OpenFile(path.Join(dirCancel, d.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeFile)
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
	root, draft := d.exchange.root, path.Join(dirTmp, d.ID)
	// The daemon removes what cannot be removed here.
	_ = root.Remove(path.Join(dirCancel, d.ID))
	if d.dropped && root.Rename(path.Join(dirRequests, d.ID), draft) != nil {
		_ = removeFlat(root, path.Join(dirRequests, d.ID))
	}
	_ = removeFlat(root, draft)
	if d.dir != nil {
		_ = d.dir.Close()
	}
	if d.lock != nil {
		_ = d.lock.Release()
	}
}
