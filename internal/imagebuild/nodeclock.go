package imagebuild

import (
	"time"

	"kiln/internal/podlog"
)

// nodeClock is the clock of a build pod's node, by which the lines of a log have their
// times: they are the same whenever the log is read. The zero value is this machine's.
type nodeClock struct {
	lag   time.Duration // of the line that came soonest after its time, or came before it
	known bool
}

// of is the time of a line that has just come; one without a position comes from now.
func (c *nodeClock) of(line podlog.Position) time.Time {
	if line.At == 0 {
		return c.now()
	}
	at := time.Unix(0, line.At)
	if lag := time.Since(at); !c.known || lag < c.lag {
		c.lag, c.known = lag, true
	}
	return at
}

// now is what the clock says, as far as the lines tell.
func (c *nodeClock) now() time.Time { return time.Now().Add(-c.lag) }

// here is a time of the clock on this machine's.
func (c *nodeClock) here(at time.Time) time.Time { return at.Add(c.lag) }
