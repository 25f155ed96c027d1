package request

import (
	"fmt"
	"time"
)

// silence is how long a step may say nothing before a line says that it goes
// on. An action's own silence is its own.
const silence = 30 * time.Second

// Beat writes the line that doing returns if nothing was written for a while.
func (l *stepLog) Beat(doing func() string) {
	l.mu.Lock()
	quiet := time.Since(l.wrote)
	l.mu.Unlock()
	if quiet >= silence {
		l.Line("kiln: still %s", doing())
	}
}

// doing says what the build is at, and for how long.
func (b *build) doing() string {
	title, since := b.output.now()
	if title == "" {
		return "sending the build context, " + elapsed(b.began)
	}
	return fmt.Sprintf("building: %s, %s", title, elapsed(since))
}

// elapsed is the time since then, for a person.
func elapsed(then time.Time) string { return time.Since(then).Round(time.Second).String() }
