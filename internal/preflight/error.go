package preflight

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

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
	// Column is where in Text the mistake begins, in characters from 1; it is 0
	// when that is not known.
	Column int
	// Reason is what is wrong.
	Reason string
	// Advice is what to write instead, or empty.
	Advice string
	// Kind is what sort of mistake it is.
	Kind Kind
	// More are further errors of the same Dockerfile.
	More []*Error
}

// Kind is a sort of mistake.
type Kind int

const (
	// Unsupported is what would be built otherwise than Docker builds it, or is
	// beyond a bound.
	Unsupported Kind = iota
	// Syntax is what cannot be read.
	Syntax
	// Missing is a source that the build context does not hold.
	Missing
)

// ofSyntax makes an error of this package one of syntax.
func ofSyntax(err error) error {
	if bad, ok := errors.AsType[*Error](err); ok {
		bad.Kind = Syntax
	}
	return err
}

// Error returns "<file>:<line>: <reason>: <text>" without the parts that are
// empty, in one line.
func (e *Error) Error() string {
	text := e.place() + ": " + e.Reason
	if e.Text != "" {
		text += ": " + e.Text
	}
	if len(e.More) > 0 {
		text += fmt.Sprintf(" (and %d more)", len(e.More))
	}
	return text
}

func (e *Error) place() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return e.File
}

// Detail returns the error, and those of More, in several lines for a log: the
// reason, the Dockerfile's line, a line that points into it, and the advice.
// Lines end without a newline at the last.
func (e *Error) Detail() string {
	parts := []string{e.place() + ": " + e.Reason}
	parts = append(parts, quote(e.Line, e.Text, e.Column)...)
	if e.Advice != "" {
		parts = append(parts, "  "+e.Advice)
	}
	for _, more := range e.More {
		parts = append(parts, more.Detail())
	}
	return strings.Join(parts, "\n")
}

// quote returns a line of the Dockerfile, and one that points to the word at
// column.
func quote(line int, text string, column int) []string {
	if text == "" {
		return nil
	}
	number := fmt.Sprintf("  %d | ", line)
	quoted := []string{number + text}
	runes := []rune(text)
	if column < 1 || column > len(runes) {
		return quoted
	}
	width := 1
	for _, r := range runes[column:] {
		if r == ' ' {
			break
		}
		width++
	}
	margin := strings.Repeat(" ", len(number)-2) + "| "
	return append(quoted, margin+strings.Repeat(" ", column-1)+strings.Repeat("^", width))
}

// source is the Dockerfile that errors refer to.
type source struct {
	name string
	data []byte
	// starts are where its lines begin in data.
	starts []int
}

// newSource returns a Dockerfile whose lines can be quoted; it is no larger than
// errors may be about.
func newSource(name string, data []byte) source {
	s := source{name: name, data: data}
	if len(data) > maxSize {
		return s
	}
	s.starts = make([]int, 1, 1+bytes.Count(data, []byte("\n")))
	for at := range data {
		if data[at] == '\n' {
			s.starts = append(s.starts, at+1)
		}
	}
	return s
}

func (s source) errorf(line int, format string, args ...any) *Error {
	e := &Error{
		File:   printable(s.name),
		Line:   line,
		Text:   s.line(line),
		Reason: printable(fmt.Sprintf(format, args...)),
	}
	e.Column = column(e.Text, e.Reason)
	return e
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

// blamed are the beginnings of messages that end in the word of the line that
// is wrong. BuildKit's parser does not tell columns.
var blamed = []string{"unknown instruction: ", "unknown flag: ", "failed to parse platform ", "no such stage: "}

// column returns where the word that reason blames stands in text, the line's
// first word if it blames none, or 0.
func column(text, reason string) int {
	if text == "" {
		return 0
	}
	for _, beginning := range blamed {
		_, rest, found := strings.Cut(reason, beginning)
		if !found {
			continue
		}
		word, _, _ := strings.Cut(rest, " ")
		if at := strings.Index(text, strings.Trim(word, `"`)); word != "" && at >= 0 {
			return utf8.RuneCountInString(text[:at]) + 1
		}
	}
	return 1
}

func (s source) line(number int) string {
	if number < 1 || number > len(s.starts) {
		return ""
	}
	text, _, _ := bytes.Cut(s.data[s.starts[number-1]:], []byte("\n"))
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
