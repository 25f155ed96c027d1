package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How the log is cut into segments.
const (
	segmentBytes = 256 << 10             // no segment is larger
	segmentDelay = 25 * time.Millisecond // how long a byte waits for others
	backlogPoll  = 20 * time.Millisecond
	// With so many segments unprinted, only full ones are published: a shim
	// that hangs beside a slow log is not to fill the directory with names.
	maxWaiting   = 256
	suffixLog    = ".log"
	offsetDigits = 20
)

// ErrLogStopped is what writers of a log get once nobody reads it any more.
var ErrLogStopped = errors.New("nobody reads this log any more")

// Log is the daemon's end of a step's log. It is safe for concurrent use;
// what one Write is given stays in one piece. A write blocks while more than
// the limit waits to be printed.
type Log struct {
	dir     *os.Root
	limit   int64
	journal *Journal // nil keeps nothing

	turn chan struct{} // holds a value during a whole Write, also while it waits

	mu      sync.Mutex
	buffer  []byte
	offset  int64 // of the first byte of buffer
	timer   *time.Timer
	waiting []segment // published and, as far as known, not printed; oldest first
	backlog int64     // bytes in waiting
	mark    any       // where the log is at the offset marked
	marked  int64
	behind  bool // what was written since has no mark yet
	err     error
	stop    chan struct{}
	stopped sync.Once
}

// segment is a published piece of a log.
type segment struct {
	name string
	size int64
}

// newLog starts the log of the answer in dir. While more than limit bytes
// wait to be printed, a writer has to wait.
func newLog(dir *os.Root, limit int64) *Log {
	return &Log{dir: dir, limit: limit, turn: make(chan struct{}, 1), stop: make(chan struct{})}
}

// Write appends p to the log. It fails with [ErrLogStopped] after Stop, and
// with the exchange's error once that could not be written: the log stays as
// it was before. The last mark holds behind p too.
func (l *Log) Write(p []byte) (int, error) {
	return l.write(p, func() {
		if !l.behind {
			l.marked = l.offset + int64(len(l.buffer))
		}
	})
}

// WriteMarked is Write of a p behind which the log is at mark: that is kept with the
// bytes, as JSON, for the daemon that goes on with the log after a restart. It must not
// change any more. nil says that p has no place of its own to go on from: the mark
// before it stays, with the number of bytes behind it. A p that fits a segment is kept
// in one piece with its mark.
func (l *Log) WriteMarked(p []byte, mark any) (int, error) {
	return l.write(p, func() {
		if l.behind = mark == nil; !l.behind {
			l.mark, l.marked = mark, l.offset+int64(len(l.buffer))
		}
	})
}

// write appends p and calls end, with the lock held, before the last of it can be
// published.
func (l *Log) write(p []byte, end func()) (int, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-l.stop:
		return 0, ErrLogStopped
	}
	for done := 0; done < len(p); {
		if err := l.await(); err != nil {
			return done, err
		}
		n, err := l.add(p[done:], end)
		if err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// Flush publishes everything that was written. After Stop it fails with
// [ErrLogStopped].
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && l.isStopped() {
		l.err = ErrLogStopped
	}
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

// published returns how many bytes of the log are in the exchange.
func (l *Log) published() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.offset
}

// await blocks until no more than the limit waits to be printed. The shim
// deletes what it has printed; that raises no event here worth a watch.
func (l *Log) await() error {
	for {
		full, err := l.full()
		if err != nil || !full {
			return err
		}
		select {
		case <-l.stop:
		case <-time.After(backlogPoll):
		}
	}
}

// full reports whether more than the limit waits to be printed, and why the
// log takes nothing more.
func (l *Log) full() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && l.isStopped() {
		l.err = ErrLogStopped
	}
	if l.err == nil && l.backlog > l.limit {
		l.pruneLocked()
	}
	return l.backlog > l.limit, l.err
}

// add appends as much of p as fits in a segment: the one that is being filled, or the
// next if that can take all of it. It calls end with the last of p.
func (l *Log) add(p []byte, end func()) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(p) <= segmentBytes && len(l.buffer)+len(p) > segmentBytes {
		l.flushLocked()
	}
	n := min(len(p), segmentBytes-len(l.buffer))
	l.buffer = append(l.buffer, p[:n]...)
	if n == len(p) {
		end()
	} else {
		l.behind = true
	}
	if len(l.buffer) == segmentBytes {
		l.flushLocked()
	} else {
		l.armLocked()
	}
	return n, l.err
}

// armLocked makes sure that what is buffered is published soon.
func (l *Log) armLocked() {
	if l.timer == nil && l.err == nil {
		l.timer = time.AfterFunc(segmentDelay, l.tick)
	}
}

// tick publishes what is buffered unless too many segments wait already.
func (l *Log) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	if l.isStopped() {
		return
	}
	l.pruneLocked()
	if len(l.waiting) < maxWaiting {
		l.flushLocked()
	} else {
		l.armLocked()
	}
}

// flushLocked publishes the buffer as one segment. The first failure is the
// end of the log.
func (l *Log) flushLocked() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if len(l.buffer) == 0 || l.err != nil {
		return
	}
	l.pruneLocked()
	if err := l.journal.write(l.entryLocked()); err != nil {
		l.err = fmt.Errorf("keep log: %w", err)
		return
	}
	name := segmentName(l.offset)
	if err := writeFile(l.dir, name, l.buffer); err != nil {
		l.err = fmt.Errorf("write log: %w", err)
		return
	}
	size := int64(len(l.buffer))
	l.waiting = append(l.waiting, segment{name: name, size: size})
	l.backlog += size
	l.offset += size
	l.buffer = l.buffer[:0]
}

// pruneLocked forgets the segments that the shim has printed. It prints and
// deletes in order, so that the first one which is there ends the search.
func (l *Log) pruneLocked() {
	for len(l.waiting) > 0 {
		if _, err := l.dir.Lstat(l.waiting[0].name); !errors.Is(err, fs.ErrNotExist) {
			return
		}
		l.backlog -= l.waiting[0].size
		l.waiting = l.waiting[1:]
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

// segmentName returns the name of the segment that begins at offset.
func segmentName(offset int64) string {
	return fmt.Sprintf("%0*d%s", offsetDigits, offset, suffixLog)
}

// segmentOffset is the reverse of segmentName.
func segmentOffset(name string) (int64, bool) {
	offset, err := strconv.ParseInt(strings.TrimSuffix(name, suffixLog), 10, 64)
	return offset, err == nil && offset >= 0 && segmentName(offset) == name
}
