package createoptions

import (
	"fmt"
	"strings"
)

// What options may hold at most.
const (
	maxLine  = 64 << 10
	maxWords = 2_000
)

// words splits a line; see the package documentation. The result is nil for a
// line without words.
func words(line string) ([]string, error) {
	if len(line) > maxLine {
		return nil, fmt.Errorf("options: %d bytes are more than the %d that a container's options can have", len(line), maxLine)
	}
	var all []string
	for {
		line = strings.TrimLeft(line, separators)
		if line == "" {
			return all, nil
		}
		if len(all) == maxWords {
			return nil, fmt.Errorf("options: more than the %d words that a container's options can have", maxWords)
		}
		w := wordReader{rest: line}
		w.read()
		all = append(all, w.text.String())
		line = w.rest
	}
}

const separators = " \t\r\n"

// wordReader takes one word off the start of rest.
type wordReader struct {
	rest   string
	text   strings.Builder
	quoted bool // within double quotes
	begins bool // the next character begins the word or a value after =
}

func (w *wordReader) read() {
	w.begins = true
	for w.rest != "" {
		if !w.quoted && strings.IndexByte(separators, w.rest[0]) >= 0 {
			return
		}
		begins := w.begins
		w.begins = false
		if w.backslashes() || w.double() || begins && !w.quoted && w.single() {
			continue
		}
		w.begins = w.rest[0] == '='
		w.take(1)
	}
}

// take moves n bytes into the word.
func (w *wordReader) take(n int) {
	w.text.WriteString(w.rest[:n])
	w.rest = w.rest[n:]
}

// backslashes reads what stands before a double quote: two make one, and an
// odd one makes the quote a character. Elsewhere they stand for themselves.
func (w *wordReader) backslashes() bool {
	n := len(w.rest) - len(strings.TrimLeft(w.rest, `\`))
	switch {
	case n == 0:
		return false
	case !strings.HasPrefix(w.rest[n:], `"`):
		w.take(n)
		return true
	}
	w.text.WriteString(w.rest[:n/2])
	w.rest = w.rest[n:]
	if n%2 == 1 {
		w.take(1)
		return true
	}
	return w.double()
}

// double reads a double quote: two of them within quotes are one character.
func (w *wordReader) double() bool {
	switch {
	case !strings.HasPrefix(w.rest, `"`):
		return false
	case w.quoted && strings.HasPrefix(w.rest, `""`):
		w.rest = w.rest[1:]
		w.take(1)
		return true
	}
	w.quoted = !w.quoted
	w.rest = w.rest[1:]
	return true
}

// single reads a part in single quotes. A quote without its end is a character.
func (w *wordReader) single() bool {
	if w.rest[0] != '\'' {
		return false
	}
	end := strings.IndexByte(w.rest[1:], '\'')
	if end < 0 {
		return false
	}
	w.text.WriteString(w.rest[1 : 1+end])
	w.rest = w.rest[end+2:]
	return true
}
