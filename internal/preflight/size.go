package preflight

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

const (
	// maxHeredocs bounds the heredocs of all instructions, which take the parser
	// some kilobytes each.
	maxHeredocs = 2000
	// maxWords bounds the words that the parser divides instructions into, which
	// take it up to a kilobyte each.
	maxWords = 20 << 10
)

// size is what a Dockerfile takes. The words are those that the parser divides
// instructions into.
type size struct{ instructions, bytes, heredocs, words int }

// add adds what else is built.
func (z *size) add(other size) {
	z.instructions, z.bytes = z.instructions+other.instructions, z.bytes+other.bytes
	z.heredocs, z.words = z.heredocs+other.heredocs, z.words+other.words
}

// excess says what is beyond a bound, or nothing.
func (z *size) excess() string {
	switch {
	case z.heredocs > maxHeredocs:
		return fmt.Sprintf("more than %d heredocs", maxHeredocs)
	case z.instructions > maxInstructions:
		return fmt.Sprintf("%d instructions, more than %d", z.instructions, maxInstructions)
	case z.words > maxWords:
		return fmt.Sprintf("more than %d words in its instructions", maxWords)
	case z.bytes > maxSize:
		return fmt.Sprintf("more than %d bytes", maxSize)
	}
	return ""
}

// measure returns how many instructions the parser finds in data, or fewer, and
// how many heredocs and words they have at most. It ends behind one heredoc too
// many. The parser makes a node of each instruction, which takes a hundred times
// the memory of a short line, before anybody can count them.
func measure(data []byte) size {
	z := size{bytes: len(data)}
	lines := &lineReader{rest: bytes.TrimPrefix(data, []byte("\ufeff")), escape: `\`}
	if _, value, _, ok := parser.ParseDirective("escape", data); ok && value == "`" {
		lines.escape = "`"
	}
	for {
		line, ok := lines.instruction()
		if !ok || z.heredocs > maxHeredocs {
			return z
		}
		z.instructions++
		z.words += countWords(line)
		if !strings.Contains(line, "<<") {
			continue
		}
		z.heredocs += strings.Count(line, "<") / 2 // the parser replaces ${a:-<} first
		if z.heredocs <= maxHeredocs && heredocInstruction.MatchString(line) && !lines.json(line) {
			lines.skipHeredocs(line)
		}
	}
}

// countWords returns how many words the parser makes of an instruction at most.
// A command for a shell is one.
func countWords(instruction string) int {
	count := 0
	if strings.HasSuffix(strings.TrimSpace(instruction), "]") {
		count = strings.Count(instruction, ",") // maybe JSON
	} else if shellInstruction.MatchString(instruction) {
		return 1
	}
	for range strings.FieldsSeq(instruction) {
		count++
	}
	return count
}

// shellInstruction matches the instructions whose command may be for a shell.
var shellInstruction = regexp.MustCompile(`(?i)^\s*(onbuild[\s\v]+)?(run|cmd|entrypoint)[\s\v]`)

// heredocInstruction matches the instructions that may have heredocs.
var heredocInstruction = regexp.MustCompile(`(?i)^\s*(onbuild[\s\v]+)?(add|copy|run)[\s\v]`)

// json reports whether an instruction is in JSON form, in which << begins
// nothing. What the parser takes for its flags it alone can tell.
func (r *lineReader) json(instruction string) bool {
	if !strings.HasSuffix(strings.TrimSpace(instruction), "]") {
		return false
	}
	_, err := parser.Parse(strings.NewReader("# escape=" + r.escape + "\n" + instruction))
	return err == nil || !strings.Contains(err.Error(), "unterminated heredoc")
}

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

// instruction returns the next instruction as the parser joins its lines, to
// the last space: the words of heredocs may go over several. Blank lines and
// comments are none, also between two lines of one.
func (r *lineReader) instruction() (string, bool) {
	var joined strings.Builder
	begun := false
	for {
		line, ok := r.next()
		if !ok {
			return joined.String(), begun
		}
		text := string(bytes.TrimRight(line, "\r\n"))
		start := strings.TrimLeftFunc(text, unicode.IsSpace)
		if start == "" || start[0] == '#' {
			continue
		}
		if !begun {
			text, begun = start, true
		}
		// Two escape characters at the end of a line are none.
		before, continued := strings.CutSuffix(strings.TrimRight(text, " \t"), r.escape)
		if !continued || strings.HasSuffix(before, r.escape) {
			joined.WriteString(text)
			return joined.String(), true
		}
		joined.WriteString(before)
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
