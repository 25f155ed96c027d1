package hostpath

import (
	"bytes"
	"io"
)

// Limit is how many bytes of a line are held back.
const Limit = 64 << 10

// Writer maps paths in the output of an action on its way to another writer.
// It is for one goroutine.
type Writer struct {
	w        io.Writer
	commands commands
	state    state
	held     []byte // bytes of the present line that may be part of a command
	out      []byte // what the present Write or Flush passes on
}

// state says where in a line a Writer stands.
type state int

const (
	margin  state = iota // only white space so far, and perhaps a colon
	inside               // no command so far, one may begin with "##["
	command              // a command has begun
	over                 // whatever follows is not looked at
)

// NewWriter returns a Writer to w. It does not keep mappings.
func NewWriter(w io.Writer, mappings []Mapping) *Writer {
	return &Writer{w: w, commands: newCommands(mappings)}
}

// Resume has commands stopped with a token, as output before had stopped them; "" is for
// none.
func (w *Writer) Resume(token string) { w.commands.token = token }

// Write passes p on, except for a line that has to be seen whole first. The
// error is that of the other writer, or nil.
func (w *Writer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		end := lineEnd(rest)
		if end == 0 {
			w.piece(rest, false)
			break
		}
		w.piece(rest[:end], true)
		rest = rest[end:]
	}
	if err := w.pass(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush passes on what is held back: the output has ended.
func (w *Writer) Flush() error {
	w.endLine(w.held)
	return w.pass()
}

// Stopped returns the token that the output so far left workflow commands
// stopped with, or "".
func (w *Writer) Stopped() string { return w.commands.token }

// pass writes what is ready.
func (w *Writer) pass() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.w.Write(w.out)
	w.out = w.out[:0]
	return err
}

// lineEnd returns the length of the first line of p with its end, 0 if it has
// none.
func lineEnd(p []byte) int {
	end := bytes.IndexByte(p, '\n')
	if end >= 0 {
		p = p[:end]
	}
	if end := bytes.IndexByte(p, '\r'); end >= 0 {
		return end + 1
	}
	return end + 1
}

// piece takes the next bytes of a line; ended says that they are its last.
func (w *Writer) piece(p []byte, ended bool) {
	if len(w.held) > 0 {
		w.held = append(w.held, p...)
		p = w.held
	}
	rest := w.advance(p, ended)
	if ended {
		w.endLine(rest)
		return
	}
	if len(w.held) > 0 {
		rest = w.held[:copy(w.held, rest)]
		w.held = rest
		return
	}
	w.held = append(w.held, rest...)
}

// advance passes on what of p is certain to be no command and returns the
// rest.
func (w *Writer) advance(p []byte, ended bool) []byte {
	if w.state == margin {
		w.state = start(p, ended)
	}
	if w.state == inside {
		p = w.skip(p, ended)
	}
	if w.state == command && len(p) > Limit {
		w.state = over
	}
	if w.state == over {
		w.out = append(w.out, p...)
		return nil
	}
	return p
}

// start returns the state after the first bytes of a line.
func start(p []byte, ended bool) state {
	text := bytes.TrimLeft(p, " \t\v\f")
	switch {
	case len(p)-len(text) > Limit:
		return inside
	case bytes.HasPrefix(text, []byte("::")):
		return command
	case !ended && (len(text) == 0 || string(text) == ":"):
		return margin
	}
	return inside
}

// skip passes on what comes before "##[", or before what may become one.
func (w *Writer) skip(p []byte, ended bool) []byte {
	mark := []byte("##[")
	n := bytes.Index(p, mark)
	switch {
	case n >= 0:
		w.state = command
	case ended:
		n = len(p)
	case bytes.HasSuffix(p, mark[:2]):
		n = len(p) - 2
	case bytes.HasSuffix(p, mark[:1]):
		n = len(p) - 1
	default:
		n = len(p)
	}
	w.out = append(w.out, p[:n]...)
	return p[n:]
}

// endLine passes on the rest of a line that has ended and begins the next.
func (w *Writer) endLine(rest []byte) {
	if w.state == command {
		rest = w.commands.translate(rest)
	}
	w.out = append(w.out, rest...)
	w.state, w.held = margin, w.held[:0]
}
