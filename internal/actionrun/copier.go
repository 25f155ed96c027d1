package actionrun

import (
	"bytes"

	"kiln/internal/hostpath"
	"kiln/internal/podlog"
	"kiln/internal/steplog"
)

// copier passes an action's output through a writer that maps paths into the step's log,
// with the place that the log has come to at each end of a line: there nothing is held
// back. It is for one goroutine.
type copier struct {
	log    *steplog.Log
	mapped *hostpath.Writer // to the copier itself
	at     steplog.Output   // the place behind what was passed on last
	after  steplog.Output   // the place behind what is passed on now; zero for none
	known  bool             // the piece that was copied last had a place behind it
}

// copy passes on a piece of output with the position behind it.
func (c *copier) copy(chunk []byte, after podlog.Position) error {
	if c.known = after != (podlog.Position{}); c.known {
		c.at.At = after
	}
	c.after = steplog.Output{}
	if c.known && bytes.HasSuffix(chunk, []byte("\n")) {
		c.after = c.at
	}
	_, err := c.mapped.Write(chunk)
	return err
}

// finish passes on what is held back of a last line without an end.
func (c *copier) finish() error {
	if c.after = (steplog.Output{}); c.known {
		c.after = c.at
	}
	return c.mapped.Flush()
}

// Write implements [io.Writer] for the mapping writer.
func (c *copier) Write(p []byte) (int, error) {
	c.log.Stopped(c.mapped.Stopped())
	return c.log.Copy(p, c.after)
}
