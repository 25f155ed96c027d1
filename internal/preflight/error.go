package preflight

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// maxText bounds a piece of the Dockerfile that an error quotes, in bytes.
const maxText = 200

// Error says why a Dockerfile cannot be built, and where. Its fields hold no
// control characters and are short enough for one line of a log.
type Error struct {
	// File is the name that was given to [Parse].
	File string
	// Line counts from 1; it is 0 when the error belongs to no line.
	Line int
	// Text is the text of that line.
	Text string
	// Reason is what is wrong.
	Reason string
}

// Error returns "<file>:<line>: <reason>: <text>" without the parts that are
// empty.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": " + e.Reason)
	if e.Text != "" {
		b.WriteString(": " + e.Text)
	}
	return b.String()
}

// source is the Dockerfile that errors refer to.
type source struct {
	name string
	data []byte
}

func (s source) errorf(line int, format string, args ...any) *Error {
	return &Error{
		File:   printable(s.name),
		Line:   line,
		Text:   s.line(line),
		Reason: printable(fmt.Sprintf(format, args...)),
	}
}

// wrap turns an error of BuildKit's parser, which may know where it happened,
// into an Error.
func (s source) wrap(err error) *Error {
	located, ok := errors.AsType[*parser.LocationError](err)
	if !ok {
		return s.errorf(0, "%s", err)
	}
	return s.errorf(firstLine(located.Locations), "%s", located)
}

func firstLine(locations [][]parser.Range) int {
	for _, ranges := range locations {
		if len(ranges) > 0 {
			return ranges[0].Start.Line
		}
	}
	return 0
}

func (s source) line(number int) string {
	if number < 1 {
		return ""
	}
	rest := s.data
	for range number - 1 {
		var found bool
		if _, rest, found = bytes.Cut(rest, []byte("\n")); !found {
			return ""
		}
	}
	text, _, _ := bytes.Cut(rest, []byte("\n"))
	return strings.TrimSpace(printable(string(text[:min(len(text), 4*maxText)])))
}

// printable makes a piece of the Dockerfile safe for a log: a Dockerfile must
// not write terminal or workflow commands through an error message.
func printable(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(clean) <= maxText {
		return clean
	}
	return strings.ToValidUTF8(clean[:maxText], "") + "..."
}
