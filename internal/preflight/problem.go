package preflight

import "strings"

// Problem is what the author of a Dockerfile should know before it is built,
// though it is. Its fields hold no control characters.
type Problem struct {
	// Line counts from 1; it is 0 when the problem belongs to no line.
	Line int
	// Text is the text of that line.
	Text string
	// Message is what is the matter, Advice what to do about it.
	Message string
	Advice  string
}

// Detail returns the problem in several lines for a log, without a newline at
// the end. The name is the Dockerfile's.
func (p Problem) Detail(name string) string {
	place := &Error{File: printable(name), Line: p.Line}
	parts := []string{place.place() + ": " + p.Message}
	parts = append(parts, quote(p.Line, p.Text, 0)...)
	if p.Advice != "" {
		parts = append(parts, "  "+p.Advice)
	}
	return strings.Join(parts, "\n")
}

// warn returns a problem of a line.
func (s source) warn(line int, message, advice string) Problem {
	return Problem{Line: line, Text: s.line(line), Message: printable(message), Advice: advice}
}
