package main

import (
	"bytes"
	"fmt"
	"io"

	"kiln/e2e/runner"
)

// stepLog shows a step's log roughly as GitHub's web page does: groups and
// errors by what they mean, everything else as it is, with a bar beside it.
type stepLog struct {
	w        io.Writer
	commands runner.Commander
	rest     []byte
	grouped  bool
}

// Write takes any part of the log.
func (l *stepLog) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		if err := l.line(string(line)); err != nil {
			return 0, err
		}
		l.rest = rest
	}
}

// end shows an unfinished last line.
func (l *stepLog) end() error {
	if len(l.rest) == 0 {
		return nil
	}
	return l.line(string(l.rest))
}

func (l *stepLog) line(line string) error {
	text := line
	indent := ""
	if l.grouped {
		indent = "  "
	}
	if c, ok := l.commands.Line(line); ok {
		switch c.Name {
		case "group":
			l.grouped = true
			text, indent = "▾ "+c.Data, ""
		case "endgroup":
			l.grouped = false
			return nil
		case "error", "warning", "notice":
			text = c.Name + ": " + c.Data
			if c.Properties != "" {
				text += "  (" + c.Properties + ")"
			}
		}
	}
	_, err := fmt.Fprintf(l.w, "│ %s%s\n", indent, text)
	return err
}
