package podlog

import (
	"hash/maphash"
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
	seed    maphash.Seed
	entries []entry
	// dropped counts the entries at the front that are too old.
	dropped int
}

func (h *history) entry(at time.Time, head []byte) entry {
	return entry{nanos: at.UnixNano(), hash: maphash.Bytes(h.seed, head)}
}

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
