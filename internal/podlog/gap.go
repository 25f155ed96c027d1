package podlog

import "time"

// The kubelet serves the newest file of a log and nothing of those before it. It
// looks at the size of a container's log every ten seconds by default
// (containerLogMonitorInterval of its configuration), so two files in a row span
// about that time at least.
const (
	// leastUnread is the time between two lines from which on a rotated file may
	// have stood between them, if the reader was that far behind.
	leastUnread = 9 * time.Second
	// leastBroken is the time between the last line of one stream and the first of
	// the next, which holds nothing of the one before, from which on something may
	// have been rotated away between them.
	leastBroken = time.Second
)

// gap finds the places where the kubelet may have dropped lines unread. It has
// only times to go by: a program that was silent at the wrong moment looks the
// same, and what is lost in a shorter time is not noticed.
type gap struct {
	now func() time.Time
	// begun tells when the container started, zero where nobody knows.
	begun func() time.Time
	// first is when the first stream was opened.
	first time.Time
	// apart: the present stream has repeated nothing that was delivered before.
	apart bool
	// late is how old the last line was when it was read.
	late time.Duration
}

// newGap returns a gap finder for a container of which nothing is known.
func newGap() gap {
	return gap{now: time.Now, begun: func() time.Time { return time.Time{} }}
}

// opened begins a stream.
func (g *gap) opened(resumed bool) {
	g.apart = resumed
	if g.first.IsZero() {
		g.first = g.now()
	}
}

// joined says that the stream has repeated something.
func (g *gap) joined() { g.apart = false }

// follows takes the time of a new line and that of the one before, zero for none,
// and reports whether lines may be missing between them, or at the beginning of a
// log that was first looked at when a file of it could have been rotated.
func (g *gap) follows(last, at time.Time) bool {
	silent, late, apart := at.Sub(last), g.late, g.apart
	g.late, g.apart = g.now().Sub(at), false
	switch {
	case last.IsZero():
		begun := g.begun()
		return !begun.IsZero() && at.Sub(begun) >= leastUnread && g.first.Sub(begun) >= leastUnread
	case apart:
		return silent >= leastBroken
	}
	return silent >= leastUnread && late >= leastUnread
}
