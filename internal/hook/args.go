package hook

import "strings"

// SplitArgs turns the fragments of [Container.EntryPointArgs] into the
// arguments of the action.
//
// The runner writes each item of runs.args as "item" with its double quotes
// escaped, joins the items with spaces, cuts the line at every space, trims
// the pieces and drops the empty ones. SplitArgs joins the fragments with one
// space and splits the line by the rules of a POSIX shell, as the npm package
// shlex does for GitHub's own Kubernetes hook
// (https://github.com/actions/runner-container-hooks): white space separates;
// single quotes keep everything; in double quotes a backslash escapes " and \
// and stays before anything else; outside quotes it escapes any character; a
// backslash and newline vanish; $'...' takes Bash's ANSI C escapes and $"..."
// is "...". Nothing is expanded, and # starts no comment. One difference: the
// npm package reads escapes of earlier unquoted text of the same argument once
// more when a quote closes, SplitArgs does not.
//
// A line with an unclosed quote or a final backslash is split by the rules by
// which .NET gives docker its arguments: double quotes only, a backslash
// counts only before one. So SplitArgs never fails.
//
// What the runner lost stays lost: runs of spaces are one space, and other
// white space next to a space is gone. \\ in an item becomes \, and an item
// that ends in a backslash takes its closing quote, and what follows, in.
//
// The result is nil when there are no arguments.
func SplitArgs(fragments []string) []string {
	line := strings.Join(fragments, " ")
	if args, ok := splitPOSIX(line); ok {
		return args
	}
	return splitDotNet(line)
}

// posixSplitter walks over a line; rest is what is left of it. arg holds the
// current argument, open tells an empty one from none.
type posixSplitter struct {
	rest string
	args []string
	arg  strings.Builder
	open bool
}

// splitPOSIX reports false when a quote or an escape does not end.
func splitPOSIX(line string) ([]string, bool) {
	s := posixSplitter{rest: line}
	for s.rest != "" {
		if !s.step() {
			return nil, false
		}
	}
	s.flush()
	return s.args, true
}

// step takes one character, escape or quoted part.
func (s *posixSplitter) step() bool {
	switch c := s.rest[0]; {
	case strings.HasPrefix(s.rest, "$'"):
		return s.quoted(2, ansiC)
	case strings.HasPrefix(s.rest, `$"`):
		return s.quoted(2, double)
	case c == '\'':
		return s.quoted(1, single)
	case c == '"':
		return s.quoted(1, double)
	case c == '\\':
		return s.escaped()
	case strings.IndexByte(" \t\r\n", c) >= 0:
		s.flush()
	default:
		s.arg.WriteByte(c)
		s.open = true
	}
	s.rest = s.rest[1:]
	return true
}

// escaped takes an unquoted backslash and the character after it.
func (s *posixSplitter) escaped() bool {
	if len(s.rest) < 2 {
		return false
	}
	if c := s.rest[1]; c != '\n' {
		s.arg.WriteByte(c)
		s.open = true
	}
	s.rest = s.rest[2:]
	return true
}

// quoted takes a quoted part whose opening is n bytes long.
func (s *posixSplitter) quoted(n int, read func(string) (text string, length int, ok bool)) bool {
	text, length, ok := read(s.rest[n:])
	if !ok {
		return false
	}
	s.arg.WriteString(text)
	s.open = true
	s.rest = s.rest[n+length:]
	return true
}

func (s *posixSplitter) flush() {
	if s.open {
		s.args = append(s.args, s.arg.String())
	}
	s.arg.Reset()
	s.open = false
}

// single reads up to and including the closing '.
func single(s string) (string, int, bool) {
	end := strings.IndexByte(s, '\'')
	if end < 0 {
		return "", 0, false
	}
	return s[:end], end + 1, true
}

// double reads up to and including the closing ".
func double(s string) (string, int, bool) {
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return text.String(), i + 1, true
		case s[i] == '\\' && i+1 < len(s):
			i++
			if s[i] != '"' && s[i] != '\\' && s[i] != '\n' {
				text.WriteByte('\\')
			}
			if s[i] != '\n' {
				text.WriteByte(s[i])
			}
		default:
			text.WriteByte(s[i])
		}
	}
	return "", 0, false
}

// splitDotNet splits as .NET's Process class does on Unix, by the rules for
// Microsoft's C++ command lines
// (https://learn.microsoft.com/cpp/cpp/main-function-command-line-args).
func splitDotNet(line string) []string {
	var args []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return args
		}
		var arg string
		arg, line = dotNetArg(line)
		args = append(args, arg)
	}
}

// dotNetArg takes one argument off the start of line.
func dotNetArg(line string) (arg, rest string) {
	var text strings.Builder
	quoted := false
	for line != "" {
		slashes := len(line) - len(strings.TrimLeft(line, `\`))
		after := line[slashes:]
		switch {
		case slashes > 0 && !strings.HasPrefix(after, `"`):
			text.WriteString(line[:slashes])
			line = after
		case slashes > 0:
			text.WriteString(line[:slashes/2])
			line = after
			if slashes%2 == 1 {
				text.WriteByte('"')
				line = after[1:]
			}
		case quoted && strings.HasPrefix(line, `""`):
			text.WriteByte('"')
			line = line[2:]
		case line[0] == '"':
			quoted = !quoted
			line = line[1:]
		case !quoted && (line[0] == ' ' || line[0] == '\t'):
			return text.String(), line
		default:
			text.WriteByte(line[0])
			line = line[1:]
		}
	}
	return text.String(), ""
}
