package podlog

import (
	"hash/crc32"
	"time"
)

// kept is how far back delivered lines are remembered, in the log's own time: a
// stream is asked for from up to two seconds before the last line, and one more
// is for times that step back.
const kept = 3 * time.Second

// stepBack is how much the times of lines may step back.
const stepBack = 100 * time.Millisecond

// entry identifies a line by its time and the hash of its head.
type entry struct {
	nanos int64
	hash  uint64
}

// history holds the lines delivered last, in order: 16 bytes for each line of
// the last seconds, which the runtime's own speed bounds to some megabytes.
type history struct {
	entries []entry
	// dropped counts the entries at the front that are too old.
	dropped int
}

// entryOf returns the entry of a line that begins with head. It is the same in every
// process.
func entryOf(at time.Time, head []byte) entry {
	return entry{nanos: at.UnixNano(), hash: uint64(crc32.Checksum(head, castagnoli()))<<32 | uint64(len(head))}
}

// castagnoli is the polynomial that processors know; crc32 makes its table once.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// add remembers a line and forgets those that are too old.
func (h *history) add(e entry) {
	h.entries = append(h.entries, e)
	for h.entries[h.dropped].nanos < e.nanos-int64(kept) {
		h.dropped++
	}
	if h.dropped > len(h.entries)/2 {
		n := copy(h.entries, h.entries[h.dropped:])
		h.entries, h.dropped = h.entries[:n], 0
	}
}

// reset forgets everything.
func (h *history) reset() { h.entries, h.dropped = h.entries[:0], 0 }

// alike is how many of the lines delivered last are e.
func (h *history) alike(e entry) int {
	count := 0
	for i := len(h.entries) - 1; i >= h.dropped && h.entries[i].nanos >= e.nanos-int64(alikeSpan); i-- {
		if h.entries[i] == e {
			count++
		}
	}
	return count
}

// alikeSpan bounds in the log's time how far apart two lines of one time stand.
const alikeSpan = time.Millisecond

// find returns the position of the first e at or after from, -1 if there is none.
// Positions hold until the next add.
func (h *history) find(e entry, from int) int {
	for i := max(from, h.dropped); i < len(h.entries); i++ {
		if h.entries[i] == e {
			return i
		}
	}
	return -1
}

// reaches reports whether the last line delivered is not older than at, give or
// take what times step back.
func (h *history) reaches(at time.Time) bool {
	n := len(h.entries)
	return n > h.dropped && h.entries[n-1].nanos > at.Add(-stepBack).UnixNano()
}

// findTime reports whether a line of that time stands at or after from.
func (h *history) findTime(at time.Time, from int) bool {
	nanos := at.UnixNano()
	for i := max(from, h.dropped); i < len(h.entries); i++ {
		if h.entries[i].nanos == nanos {
			return true
		}
	}
	return false
}
