package podlog

import "time"

// Position is a place between two lines of a log: behind a line, and all before it,
// that was handed over. The zero value is none, or the log's beginning. Another process
// can go on from it.
type Position struct {
	// At is the time of that line in nanoseconds of the epoch.
	At int64 `json:"at"`
	// Hash is of its content.
	Hash uint64 `json:"hash"`
	// Nth is how many lines with that time and content there were.
	Nth int `json:"nth"`
	// Latest is the latest time of a line so far: times step back a little.
	Latest int64 `json:"latest"`
}

// Same reports whether both are behind the same line.
func (p Position) Same(other Position) bool {
	return p.At == other.At && p.Hash == other.Hash && p.Nth == other.Nth
}

// Sink receives the bytes of a log. after is the position behind them where they end
// a line, else zero.
type Sink func(line []byte, after Position) error

// after is the position behind a line, the nth of its kind.
func (l *lines) after(e entry, nth int) Position {
	l.latest = max(l.latest, e.nanos)
	return Position{At: e.nanos, Hash: e.hash, Nth: nth, Latest: l.latest}
}

// from lets the lines go on behind a position of another process.
func (l *lines) from(at Position) {
	if at == (Position{}) {
		return
	}
	l.sought, l.latest = &at, at.Latest
	l.begun(time.Unix(0, at.At))
}

// seek takes a line while it is not known where the lines of an earlier process end,
// and reports whether it is one of them. A line that is later than all of those says
// that the file that held the last of them was rotated away.
func (l *lines) seek(e entry) bool {
	last := entry{nanos: l.sought.At, hash: l.sought.Hash}
	if e.nanos > l.sought.Latest {
		l.sought = nil
		l.seen.reset()
		l.seen.add(last)
		return false
	}
	l.seen.add(e)
	l.cursor = len(l.seen.entries)
	l.gap.joined()
	if e == last && l.seen.alike(e) == l.sought.Nth {
		l.sought = nil
	}
	return true
}
