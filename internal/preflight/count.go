package preflight

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// maxHeredocs bounds the << of all instructions: each may be a heredoc, which
// takes the parser some kilobytes.
const maxHeredocs = 2000

// countInstructions returns how many instructions the parser finds in data, or
// fewer, and how many << are in them, up to one more than maxHeredocs. The
// parser makes a node of each instruction, which takes a hundred times the
// memory of a short line, before anybody can count them.
func countInstructions(data []byte) (count, heredocs int) {
	lines := &lineReader{rest: bytes.TrimPrefix(data, []byte("\ufeff")), escape: `\`}
	if _, value, _, ok := parser.ParseDirective("escape", data); ok && value == "`" {
		lines.escape = "`"
	}
	for {
		line, ok := lines.instruction()
		if !ok {
			return count, heredocs
		}
		count++
		if strings.Contains(line, "<<") && heredocInstruction.MatchString(line) {
			if heredocs += strings.Count(line, "<<"); heredocs > maxHeredocs {
				return count, maxHeredocs + 1
			}
			lines.skipHeredocs(line)
		}
	}
}

// heredocInstruction matches the instructions that may have heredocs.
var heredocInstruction = regexp.MustCompile(`(?i)^\s*(onbuild\s+)?(add|copy|run)\s`)

// lineReader reads a Dockerfile line by line, as the parser does.
type lineReader struct {
	rest   []byte
	escape string
}

// next returns the next line with its end.
func (r *lineReader) next() ([]byte, bool) {
	if len(r.rest) == 0 {
		return nil, false
	}
	end := bytes.IndexByte(r.rest, '\n') + 1
	if end == 0 {
		end = len(r.rest)
	}
	line := r.rest[:end]
	r.rest = r.rest[end:]
	return line, true
}

// instruction returns the next instruction without its continuations' line ends.
// Blank lines and comments are none, also between two lines of one.
func (r *lineReader) instruction() (string, bool) {
	var joined strings.Builder
	for {
		line, ok := r.next()
		if !ok {
			return joined.String(), joined.Len() > 0
		}
		text := strings.TrimRight(string(bytes.TrimRight(line, "\r\n")), " \t")
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" || text[0] == '#' {
			continue
		}
		// Two escape characters at the end of a line are none.
		before, continued := strings.CutSuffix(text, r.escape)
		joined.WriteString(" " + before)
		if !continued || strings.HasSuffix(before, r.escape) {
			return joined.String(), true
		}
	}
}

// skipHeredocs reads over the bodies of the heredocs that an instruction begins.
func (r *lineReader) skipHeredocs(instruction string) {
	lex := shell.NewLex('\\')
	lex.RawQuotes, lex.RawEscapes, lex.SkipUnsetEnv = true, true, true
	words, err := lex.ProcessWords(instruction, shell.EnvsFromSlice(nil))
	if err != nil {
		return
	}
	for _, word := range words {
		if heredoc, err := parser.ParseHeredoc(word); err == nil && heredoc != nil {
			r.skipTo(heredoc.Name, heredoc.Chomp)
		}
	}
}

// skipTo reads to the line that ends a heredoc.
func (r *lineReader) skipTo(terminator string, chomp bool) {
	for {
		line, ok := r.next()
		if !ok {
			return
		}
		text := strings.TrimRight(string(line), "\r\n")
		if chomp {
			text = strings.TrimLeft(text, "\t")
		}
		if text == terminator {
			return
		}
	}
}
