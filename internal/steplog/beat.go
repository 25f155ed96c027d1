package steplog

import "time"

// silence is how long a step may say nothing before a line says that it goes
// on. An action's own silence is its own.
const silence = 30 * time.Second

// Beat writes the line that doing returns if nothing was written for a while.
func (l *Log) Beat(doing func() string) {
	l.mu.Lock()
	quiet := time.Since(l.wrote)
	l.mu.Unlock()
	if quiet >= silence {
		l.Line("kiln: still %s", doing())
	}
}

// Elapsed is the time since then, for a person.
func Elapsed(then time.Time) string { return time.Since(then).Round(time.Second).String() }
