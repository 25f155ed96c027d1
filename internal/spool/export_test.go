package spool

import (
	"context"
	"io"
	"os"
	"time"
)

// What tests know of the layout and the limits.
const (
	SegmentBytes = segmentBytes
	MaxWaiting   = maxWaiting
	MaxNames     = maxNames
)

// The parsers of what the other side writes.
var (
	ParseRequest = parseRequest
	ParseResult  = parseResult
	SegmentName  = segmentName
)

// Crash lets go of the draft as the end of its process would.
func (d *Draft) Crash() {
	if d.dir != nil {
		_ = d.dir.Close()
	}
	_ = d.lock.Release()
}

// Waiting returns how many segments are known to wait for the shim.
func (l *Log) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// WatchSlow is Watch with a slow tick of its own.
func WatchSlow(ctx context.Context, loss time.Duration, dirs ...string) *Watcher {
	return watch(ctx, loss, dirs...)
}

// ReadPlain reads a file below dir as the daemon reads a shim's.
func ReadPlain(dir, name string, limit int64) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return readPlain(root, name, limit)
}

// OpenDir opens and closes a directory below dir as the daemon opens a shim's.
func OpenDir(dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	sub, err := openDir(root, name)
	if err != nil {
		return err
	}
	return sub.Close()
}

// NewLog returns a log that writes below dir, and what closes the directory.
func NewLog(dir string, limit int64) (*Log, io.Closer, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	return newLog(root, limit), root, nil
}

// CheckOlder is what Check does with names that are no request's, with another
// age.
func CheckOlder(e *Exchange, age time.Duration) error { return e.surveyed(age) }
