package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How the log is cut into segments.
const (
	segmentBytes = 256 << 10             // a segment is written when this much waits
	segmentDelay = 25 * time.Millisecond // or when its first byte is this old
	backlogPoll  = 20 * time.Millisecond
	suffixLog    = ".log"
	offsetDigits = 20
)

// ErrLogStopped is what writers of a log get once nobody reads it any more.
var ErrLogStopped = errors.New("nobody reads this log any more")

// Log is the daemon's end of a step's log. Writes are in order, and safe for
// concurrent use; one blocks while more than the limit waits to be printed.
type Log struct {
	dir   *os.Root
	limit int64

	mu      sync.Mutex
	buffer  []byte
	offset  int64 // of the first byte of buffer
	timer   *time.Timer
	waiting []segment
	err     error
	stop    chan struct{}
	stopped sync.Once
}

// segment is a written piece of a log that may not be printed yet.
type segment struct {
	name string
	size int64
}

// newLog starts the log of the answer in dir. At most limit bytes wait to be
// printed before a writer has to wait.
func newLog(dir *os.Root, limit int64) *Log {
	return &Log{dir: dir, limit: limit, stop: make(chan struct{})}
}

// Write appends p to the log. It fails with [ErrLogStopped] after Stop, and
// with the exchange's error when that cannot be written.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && l.isStopped() {
		l.err = ErrLogStopped
	}
	if l.err != nil {
		return 0, l.err
	}
	l.buffer = append(l.buffer, p...)
	if len(l.buffer) < segmentBytes {
		l.armLocked()
		return len(p), nil
	}
	l.flushLocked()
	l.waitLocked()
	if l.err != nil {
		return 0, l.err
	}
	return len(p), nil
}

// Flush publishes everything that was written.
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
	return l.err
}

// Bytes returns the length of the log so far.
func (l *Log) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.offset + int64(len(l.buffer))
}

// Stop ends the log: writers that wait, and later ones, get [ErrLogStopped].
func (l *Log) Stop() { l.stopped.Do(func() { close(l.stop) }) }

// armLocked makes sure that what is buffered is published soon.
func (l *Log) armLocked() {
	if l.timer == nil {
		l.timer = time.AfterFunc(segmentDelay, func() { _ = l.Flush() })
	}
}

// flushLocked publishes the buffer as one segment.
func (l *Log) flushLocked() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if len(l.buffer) == 0 || l.err != nil {
		return
	}
	name := segmentName(l.offset)
	if err := writeFile(l.dir, name, l.buffer); err != nil {
		l.err = fmt.Errorf("write log: %w", err)
		return
	}
	size := int64(len(l.buffer))
	l.waiting = append(l.waiting, segment{name: name, size: size})
	l.offset += size
	l.buffer = l.buffer[:0]
}

// waitLocked blocks until no more than the limit waits to be printed. The
// shim deletes what it has printed; that raises no event here worth a watch.
func (l *Log) waitLocked() {
	for l.err == nil && l.backlogLocked() > l.limit {
		l.mu.Unlock()
		select {
		case <-l.stop:
		case <-time.After(backlogPoll):
		}
		l.mu.Lock()
		if l.isStopped() {
			l.err = ErrLogStopped
		}
	}
}

// isStopped reports whether Stop was called.
func (l *Log) isStopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// backlogLocked returns how many published bytes the shim has not printed.
func (l *Log) backlogLocked() int64 {
	l.waiting = slices.DeleteFunc(l.waiting, func(s segment) bool {
		_, err := l.dir.Lstat(s.name)
		return errors.Is(err, fs.ErrNotExist)
	})
	var sum int64
	for _, s := range l.waiting {
		sum += s.size
	}
	return sum
}

// segmentName returns the name of the segment that begins at offset.
func segmentName(offset int64) string {
	return fmt.Sprintf("%0*d%s", offsetDigits, offset, suffixLog)
}

// segmentOffset is the reverse of segmentName.
func segmentOffset(name string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, suffixLog)
	if !ok || len(digits) != offsetDigits {
		return 0, false
	}
	offset, err := strconv.ParseInt(digits, 10, 64)
	return offset, err == nil && offset >= 0
}

// Print writes to w what the daemon has published and was not printed before,
// and deletes it. The error is the exchange's or w's.
func (d *Draft) Print(w io.Writer) error {
	dir := path.Join(dirResponses, d.ID)
	names, err := readNames(d.exchange.root, dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		offset, ok := segmentOffset(name)
		if !ok {
			continue
		}
		if offset > d.printed {
			return fmt.Errorf("the step's log misses the bytes %d to %d", d.printed, offset)
		}
		if err := d.printSegment(w, path.Join(dir, name), offset); err != nil {
			return err
		}
	}
	return nil
}

// printSegment writes the part of one segment that is new, and deletes it.
func (d *Draft) printSegment(w io.Writer, name string, offset int64) error {
	file, err := openPlain(d.exchange.root, name)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(d.printed-offset, io.SeekStart); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	n, err := io.Copy(w, file)
	d.printed += n
	if err != nil {
		return fmt.Errorf("print log: %w", err)
	}
	_ = d.exchange.root.Remove(name) // a segment that stays is skipped by its offset
	return nil
}

// readNames lists a directory of the exchange. A missing one is empty.
func readNames(root *os.Root, dir string) ([]string, error) {
	file, err := root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	names, err := file.Readdirnames(maxNames)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// maxNames bounds how much of a directory one scan reads.
const maxNames = 10_000

// Result returns the daemon's result once it is there and the whole log was
// printed to w.
func (d *Draft) Result(w io.Writer) (Result, bool, error) {
	data, err := readPlain(d.exchange.root, path.Join(dirResponses, d.ID, fileResult), maxResultBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return Result{}, false, d.Print(w)
	}
	if err != nil {
		return Result{}, false, fmt.Errorf("read result: %w", err)
	}
	result, err := parseResult(data)
	if err != nil {
		return Result{}, false, err
	}
	if err := d.Print(w); err != nil {
		return Result{}, false, err
	}
	if d.printed < result.LogBytes {
		return Result{}, false, fmt.Errorf("the step's log ends after %d of %d bytes", d.printed, result.LogBytes)
	}
	return result, true, nil
}
