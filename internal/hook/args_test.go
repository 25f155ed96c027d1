package hook_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kiln/internal/hook"
)

// runnerJoin does to the items of runs.args what the runner does: quote and
// join, cut at spaces, trim, drop what is empty.
func runnerJoin(items []string) []string {
	var line strings.Builder
	for _, item := range items {
		line.WriteString(` "` + strings.ReplaceAll(item, `"`, `\"`) + `"`)
	}
	return runnerCut(line.String())
}

// runnerCut is the second half of runnerJoin, all that happens to with.args.
func runnerCut(line string) []string {
	var fragments []string
	for piece := range strings.SplitSeq(line, " ") {
		if piece = strings.TrimFunc(piece, unicode.IsSpace); piece != "" {
			fragments = append(fragments, piece)
		}
	}
	return fragments
}

func TestSplitArgsOfItems(t *testing.T) {
	for _, tc := range []struct {
		name  string
		items []string
		want  []string // nil means: as items
	}{
		{"none", nil, nil},
		{"plain", []string{"--msg", "hello"}, nil},
		{"spaces", []string{"--msg", "hello big world"}, nil},
		{"empty item", []string{"a", "", "b"}, nil},
		{"only an empty item", []string{""}, nil},
		{"double quotes", []string{`say "hi" now`}, nil},
		{"only a double quote", []string{`"`}, nil},
		{"single quotes", []string{`it's`, `'quoted'`}, nil},
		{"dollars stay", []string{"$HOME", "$(id)", "$$", "a$"}, nil},
		{"dollar before a quote", []string{`$'x\n'`, `$`}, nil},
		{"shell operators stay", []string{"a;b", "x|y", ">out", "*", "~", "#no comment"}, nil},
		{"space at both ends", []string{" a "}, nil},
		{"one backslash", []string{`C:\dir\file`, `\d+`}, nil},
		{"newline inside a word", []string{"a\nb"}, nil},
		{"unicode", []string{"päth", "日本", "🚀 up"}, nil},

		{"lost: runs of spaces", []string{"a  b", "c   d"}, []string{"a b", "c d"}},
		{"lost: an item of spaces", []string{"   "}, []string{" "}},
		{"lost: newline next to a space", []string{"a \nb"}, []string{"a b"}},
		{"lost: carriage return at a line's end", []string{"a\r\n b"}, []string{"a b"}},
		{"lost: doubled backslash", []string{`\\server\share`}, []string{`\server\share`}},
		{"lost: backslash newline", []string{"a\\\nb"}, []string{"ab"}},
		{"lost: final backslash takes the quote in", []string{`x\`}, []string{`x"`}},
		{"lost: final backslash takes the next item in", []string{`x\`, "y"}, []string{`x" y`}},
		{"lost: backslash before a quote", []string{`a\"b`}, []string{`a\b`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := tc.want
			if want == nil {
				want = tc.items
			}
			if diff := cmp.Diff(want, hook.SplitArgs(runnerJoin(tc.items))); diff != "" {
				t.Errorf("SplitArgs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSplitArgsOfLine(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		want       []string
	}{
		{"nothing", "", nil},
		{"white space", " \t\r\n ", nil},
		{"words", "one two  three", []string{"one", "two", "three"}},
		{"tabs and newlines separate", "a\tb\nc\r\nd", []string{"a", "b", "c", "d"}},
		{"single quotes group", `-c 'echo hi'`, []string{"-c", "echo hi"}},
		{"single quotes keep all", `'a\b"c$d'`, []string{`a\b"c$d`}},
		{"empty single quotes", `a '' b`, []string{"a", "", "b"}},
		{"empty double quotes", `a "" b`, []string{"a", "", "b"}},
		{"empty quotes in a word", `a''b""c`, []string{"abc"}},
		{"parts join", `a'b c'"d e"f`, []string{"ab cd ef"}},
		{"escaped space", `a\ b c`, []string{"a b", "c"}},
		{"escaped quotes", `\'a\"`, []string{`'a"`}},
		{"escaped backslash", `a\\b`, []string{`a\b`}},
		{"escaped letter", `a\bc`, []string{"abc"}},
		{"line continuation", "a\\\nb c", []string{"ab", "c"}},
		{"only a continuation", "a \\\n b", []string{"a", "b"}},
		{"backslashes in double quotes", `"a\\b\"c\d\$e"`, []string{`a\b"c\d\$e`}},
		{"continuation in double quotes", "\"a\\\nb\"", []string{"ab"}},
		{"hash is no comment", "a # b", []string{"a", "#", "b"}},
		{"no expansion", `$HOME ~ * {a,b} $(id)`, []string{"$HOME", "~", "*", "{a,b}", "$(id)"}},
		{"escaped dollar before a quote", `\$'a b'`, []string{"$a b"}},
		{"two dollars", `$$'a\tb'`, []string{"$a\tb"}},
		{"translated string", `$"a \"b"`, []string{`a "b`}},
		{"not UTF-8", "a\xff 'b\xfe'", []string{"a\xff", "b\xfe"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, hook.SplitArgs([]string{tc.line})); diff != "" {
				t.Errorf("SplitArgs(%q) (-want +got):\n%s", tc.line, diff)
			}
		})
	}
}

func TestSplitArgsANSIC(t *testing.T) {
	for _, tc := range []struct{ name, line, want string }{
		{"letters", `$'\a\b\e\E\f\n\r\t\v'`, "\a\b\x1b\x1b\f\n\r\t\v"},
		{"literals", `$'\\ \' \" \?'`, `\ ' " ?`},
		{"octal", `$'\101\60x\0'`, "A0x"},
		{"hexadecimal", `$'\x41\x4g'`, "A\x04g"},
		{"unicode", `$'\u00e9\U1F680'`, "é🚀"},
		{"not a code point", `$'\UFFFFFFFF\ud800'`, "\uFFFD\uFFFD"},
		{"control", `$'\cA\c?\c@'`, "\x01\x7f"},
		{"control at the end", `$'\c'`, `\c`},
		{"no digits", `$'\xg\u'`, `\xg\u`},
		{"unknown keeps its backslash", `$'\q\é'`, `\q\é`},
		{"continuation", "$'a\\\nb'", "ab"},
		{"empty", `$''`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tc.want}, hook.SplitArgs([]string{tc.line})); diff != "" {
				t.Errorf("SplitArgs(%q) (-want +got):\n%s", tc.line, diff)
			}
		})
	}
}

// TestSplitArgsUnbalanced holds lines that a POSIX shell refuses.
func TestSplitArgsUnbalanced(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		want       []string
	}{
		{"apostrophe", "don't stop", []string{"don't", "stop"}},
		{"apostrophe and double quotes", `it's "a b"`, []string{"it's", "a b"}},
		{"open double quote", `a "b c`, []string{"a", "b c"}},
		{"lone double quote", `"`, []string{""}},
		{"final backslash", `a b\`, []string{"a", `b\`}},
		{"escaped closing quote", `"x\"`, []string{`x"`}},
		{"backslashes before no quote", `a\\b c\d '`, []string{`a\\b`, `c\d`, "'"}},
		{"even backslashes before a quote", `"a\\" b '`, []string{`a\`, "b", "'"}},
		{"odd backslashes before a quote", `a\\\"b '`, []string{`a\"b`, "'"}},
		{"doubled quote in quotes", `"a""b" '`, []string{`a"b`, "'"}},
		{"empty quotes", `"" a '`, []string{"", "a", "'"}},
		{"tab separates, newline does not", "a\tb\nc '", []string{"a", "b\nc", "'"}},
		{"open ANSI C string", `$'a b`, []string{"$'a", "b"}},
		{"open ANSI C string after an escape", `$'a\' b`, []string{`$'a\'`, "b"}},
		{"open translated string", `$"a b`, []string{"$a b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, hook.SplitArgs([]string{tc.line})); diff != "" {
				t.Errorf("SplitArgs(%q) (-want +got):\n%s", tc.line, diff)
			}
		})
	}
}

// TestSplitArgsInvertsRunner states which items survive the runner: those
// without white space that its cut loses and without backslashes in the places
// where the runner's quoting is not one.
func TestSplitArgsInvertsRunner(t *testing.T) {
	item := rapid.StringOfN(rapid.OneOf(
		rapid.RuneFrom([]rune(`ab "'\$#*;|&<>(){}[]~!?`+"\n\t")),
		rapid.Rune(),
	), 0, 12, -1).Filter(survives)
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(item, 0, 6).Draw(t, "items")
		got := hook.SplitArgs(runnerJoin(items))
		if !slices.Equal(items, got) {
			t.Errorf("SplitArgs = %q, want %q (fragments %q)", got, items, runnerJoin(items))
		}
	})
}

func survives(item string) bool {
	for _, lossy := range []string{`\\`, `\"`, "\\\n"} {
		if strings.Contains(item, lossy) {
			return false
		}
	}
	runes := []rune(item)
	for i := 1; i < len(runes); i++ {
		if unicode.IsSpace(runes[i-1]) && unicode.IsSpace(runes[i]) {
			return false
		}
	}
	return !strings.HasSuffix(item, `\`)
}

func FuzzSplitArgs(f *testing.F) {
	for _, seed := range []string{"", `"a" "b c"`, `-c 'echo hi'`, `"x\"`, "don't", `$'\x41\u12'`, "a\\\nb", `\`, `""""`, `"\\\"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		whole := hook.SplitArgs([]string{line})
		size := 0
		for _, arg := range whole {
			size += len(arg)
		}
		// U+FFFD for a number is the only text longer than its source, and
		// that source is at least as long.
		if size > len(line) {
			t.Errorf("SplitArgs(%q) = %q: %d bytes of %d", line, whole, size, len(line))
		}
		cut := hook.SplitArgs(strings.Split(line, " "))
		if !slices.Equal(whole, cut) {
			t.Errorf("SplitArgs of the cut line = %q, want %q", cut, whole)
		}
	})
}
