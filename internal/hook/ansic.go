package hook

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// ansiC reads the rest of a $'...' string, up to and including the closing ',
// with the escapes of Bash's manual, section ANSI-C Quoting. An escape that
// Bash does not know keeps its backslash. Numbers are code points, as in the
// npm package shlex; one that is none becomes U+FFFD, and NUL, which no
// argument can hold, is left out.
func ansiC(s string) (string, int, bool) {
	var text strings.Builder
	for i := 0; i < len(s); {
		switch {
		case s[i] == '\'':
			return text.String(), i + 1, true
		case s[i] == '\\' && i+1 < len(s):
			out, n := ansiEscape(s[i+1:])
			text.WriteString(out)
			i += 1 + n
		default:
			text.WriteByte(s[i])
			i++
		}
	}
	return "", 0, false
}

// ansiEscape reads the escape behind a backslash: what it stands for and how
// many bytes of s it takes.
func ansiEscape(s string) (string, int) {
	const letters, values = "abeEfnrtv\\'\"?", "\a\b\x1b\x1b\f\n\r\t\v\\'\"?"
	if i := strings.IndexByte(letters, s[0]); i >= 0 {
		return values[i : i+1], 1
	}
	switch s[0] {
	case '\n':
		return "", 1
	case 'x':
		return codePoint(s, 1, 2, 16)
	case 'u':
		return codePoint(s, 1, 4, 16)
	case 'U':
		return codePoint(s, 1, 8, 16)
	case 'c':
		return control(s)
	default:
		return codePoint(s, 0, 3, 8)
	}
}

// codePoint reads up to limit digits of base behind the first skip bytes. A
// sequence without a digit is kept with its backslash.
func codePoint(s string, skip, limit, base int) (string, int) {
	n := skip
	for n < len(s) && n < skip+limit && isDigit(s[n], base) {
		n++
	}
	if n == skip {
		_, size := utf8.DecodeRuneInString(s)
		return `\` + s[:size], size
	}
	value, err := strconv.ParseUint(s[skip:n], base, 32)
	switch {
	case err != nil || value > utf8.MaxRune:
		return string(utf8.RuneError), n
	case value == 0:
		return "", n
	}
	return string(rune(value)), n
}

// isDigit reports whether c is a digit of base, which is 8 or 16.
func isDigit(c byte, base int) bool {
	_, err := strconv.ParseUint(string(rune(c)), base, 8)
	return err == nil
}

// control reads cX, the character of the Ctrl key and X.
func control(s string) (string, int) {
	switch {
	case len(s) < 2 || s[1] == '\'' || s[1] >= utf8.RuneSelf:
		return `\c`, 1
	case s[1] == '?':
		return "\x7f", 2
	case s[1]&31 == 0:
		return "", 2
	}
	return string(rune(s[1] & 31)), 2
}
