package hostpath_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kiln/internal/hostpath"
)

// mappings are those of a step, and one whose host path needs escapes.
func mappings() []hostpath.Mapping {
	return []hostpath.Mapping{
		{Container: "/__w", Host: "/home/runner/_work"},
		{Container: "/github/workspace", Host: "/home/runner/_work/app/app"},
		{Container: "/github/home/", Host: "/home/runner/_work/_temp/_github_home"},
		{Container: "/odd", Host: "/a:b,c;d]e%f"},
		{Container: "/", Host: "/host"},
		{Container: "/relative", Host: "host"},
		{Container: "relative", Host: "/host"},
	}
}

// translate writes the parts and returns what comes out.
func translate(t interface{ Fatal(...any) }, parts ...string) string {
	var out bytes.Buffer
	w := hostpath.NewWriter(&out, mappings())
	for _, part := range parts {
		if n, err := w.Write([]byte(part)); err != nil || n != len(part) {
			t.Fatal(n, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWriterMaps(t *testing.T) {
	const work, checkout = "/home/runner/_work", "/home/runner/_work/app/app"
	for line, want := range map[string]string{
		"::add-matcher::/github/workspace/.github/m.json":                "::add-matcher::" + checkout + "/.github/m.json",
		"  \t::Add-Matcher::/github/workspace/m.json":                    "  \t::Add-Matcher::" + checkout + "/m.json",
		"::add-matcher::/__w/x":                                          "::add-matcher::" + work + "/x",
		"::add-matcher::/github/workspace":                               "::add-matcher::" + checkout,
		"::add-matcher::/github/home/m:%0A.json":                         "::add-matcher::" + work + "/_temp/_github_home/m:%0A.json",
		"::remove-matcher::/github/workspace/m.json":                     "::remove-matcher::" + checkout + "/m.json",
		"##[add-matcher]/github/workspace/m.json":                        "##[add-matcher]" + checkout + "/m.json",
		"text ##[add-matcher]/__w/m.json":                                "text ##[add-matcher]" + work + "/m.json",
		"###[add-matcher]/__w/m.json":                                    "###[add-matcher]" + work + "/m.json",
		"::unknown::##[add-matcher]/__w/m.json":                          "::unknown::##[add-matcher]" + work + "/m.json",
		"::error file=/github/workspace/a.go,line=3::/github/workspace/": "::error file=" + checkout + "/a.go,line=3::/github/workspace/",
		"::warning line=1,File=/__w/a%2Cb,col=2::x":                      "::warning line=1,File=" + work + "/a%2Cb,col=2::x",
		"::notice   file=/__w/a::":                                       "::notice   file=" + work + "/a::",
		"##[error line=1;file=/__w/a;x=y]z":                              "##[error line=1;file=" + work + "/a;x=y]z",
		"::error file=/odd/x::":                                          "::error file=/a%3Ab%2Cc;d]e%25f/x::",
		"##[error file=/odd/x]":                                          "##[error file=/a:b,c%3Bd%5De%25f/x]",
		"::add-matcher::/odd":                                            "::add-matcher::/a:b,c;d]e%25f",
	} {
		for _, end := range []string{"", "\n", "\r", "\r\n", "\n\n"} {
			if got := translate(t, "before\n"+line+end); got != "before\n"+want+end {
				t.Errorf("%q becomes %q, want %q", line+end, got, want+end)
			}
		}
	}
}

// same are lines that must not change.
func same() []string {
	return []string{
		"", " ", ":", "::", "::::", "#", "##", "##[", "##[]", "\xff\xfe", "/github/workspace/a.go:3: error",
		"x ::add-matcher::/github/workspace/m.json",
		": :add-matcher::/github/workspace/m.json",
		"::add-matcher::/github/workspaces/m.json",
		"::add-matcher::github/workspace/m.json",
		"::add-matcher::/relative/m.json", "::add-matcher::relative/m.json",
		"::add-matcher:/github/workspace/m.json",
		"::remove-matcher owner=/github/workspace::",
		"::error::file=/github/workspace/a.go",
		"::error title=/github/workspace/a.go::x",
		"::error x=1, file=/github/workspace/a.go::x",
		"::errors file=/github/workspace/a.go::x",
		"::debug file=/github/workspace/a.go::/github/workspace",
		"::set-output name=x::/github/workspace",
		"::group::/github/workspace",
		"::error file=/github/workspace/a.go",
		"##[error file=/github/workspace/a.go",
		"##[x] ##[add-matcher]/__w/m.json",
		"##[error  file=/__w/a]",
		"::add-matcher::" + strings.Repeat(" ", hostpath.Limit) + "/__w/m.json",
		"::add-matcher::/__w/" + strings.Repeat("x", hostpath.Limit),
		strings.Repeat(" ", hostpath.Limit+1) + "::add-matcher::/__w/m.json",
	}
}

func TestWriterPassesEverythingElse(t *testing.T) {
	for _, line := range same() {
		for _, end := range []string{"", "\n", "\r"} {
			if got := translate(t, line+end); got != line+end {
				t.Errorf("%.100q becomes %.100q", line+end, got)
			}
		}
	}
}

func TestWriterHeedsStopCommands(t *testing.T) {
	const before, after = "::add-matcher::/__w/m\n", "::add-matcher::/home/runner/_work/m\n"
	for name, tt := range map[string]struct{ text, want string }{
		"stopped":         {"::stop-commands::t0ken\n" + before, "::stop-commands::t0ken\n" + before},
		"resumed":         {"::stop-commands::t0ken\n" + before + "::T0KEN::\n" + before, "::stop-commands::t0ken\n" + before + "::T0KEN::\n" + after},
		"other syntax":    {"##[stop-commands]x y\n" + before + "a ##[x y]\n" + before, "##[stop-commands]x y\n" + before + "a ##[x y]\n" + before},
		"brackets":        {"##[stop-commands]t\n" + before + "a ##[t]\n" + before, "##[stop-commands]t\n" + before + "a ##[t]\n" + after},
		"stopped twice":   {"::stop-commands::a\n::stop-commands::b\n::b::\n" + before, "::stop-commands::a\n::stop-commands::b\n::b::\n" + before},
		"refused tokens":  {"::stop-commands::\n::stop-commands::Debug\n" + before, "::stop-commands::\n::stop-commands::Debug\n" + after},
		"not a command":   {"x::stop-commands::t\n" + before, "x::stop-commands::t\n" + after},
		"token elsewhere": {"::t::\n" + before, "::t::\n" + after},
	} {
		if got := translate(t, tt.text); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestWriterStopped(t *testing.T) {
	w := hostpath.NewWriter(io.Discard, nil)
	for _, step := range []struct{ write, want string }{{"x\n", ""}, {"::stop-commands::t\n", "t"}, {"::debug::\n", "t"}, {"::t::\n", ""}} {
		if _, err := io.WriteString(w, step.write); err != nil {
			t.Fatal(err)
		}
		if got := w.Stopped(); got != step.want {
			t.Errorf("after %q: %q, want %q", step.write, got, step.want)
		}
	}
}

// A line that cannot be a command is shown before it ends.
func TestWriterHoldsBackNoMoreThanItMust(t *testing.T) {
	var out bytes.Buffer
	w := hostpath.NewWriter(&out, mappings())
	for _, step := range []struct{ write, want string }{
		{"a", "a"}, {"b#", "ab"}, {"c", "ab#c"}, {"\n:", "ab#c\n"}, {"x", "ab#c\n:x"}, {"##[", "ab#c\n:x"}, {"y", "ab#c\n:x"}, {"\n", "ab#c\n:x##[y\n"},
	} {
		if _, err := w.Write([]byte(step.write)); err != nil {
			t.Fatal(err)
		}
		if out.String() != step.want {
			t.Errorf("after %q: %q, want %q", step.write, out.String(), step.want)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestWriterReturnsTheError(t *testing.T) {
	w := hostpath.NewWriter(broken{}, nil)
	if _, err := w.Write([]byte("::")); err != nil {
		t.Errorf("nothing to write: %v", err)
	}
	if _, err := w.Write([]byte("x\n")); err == nil {
		t.Error("Write: no error")
	}
	if _, err := w.Write([]byte("::x")); err != nil {
		t.Errorf("nothing to write: %v", err)
	}
	if err := w.Flush(); err == nil {
		t.Error("Flush: no error")
	}
}

// texts generates output with many near misses of commands.
func texts() *rapid.Generator[string] {
	word := rapid.OneOf(
		rapid.SampledFrom(append(same(), "::add-matcher::/__w/m", "::error file=/__w/a::x", "##[error file=/__w/a]", "::stop-commands::t", "::t::", "\xc2\xa0")),
		rapid.SampledFrom([]string{"\n", "\r", "\r\n", " ", "\t", ":", "::", "#", "##", "[", "]", ",", "=", "%0A", "/__w", "file"}),
		rapid.StringN(0, 5, -1),
	)
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(word, 0, 30).Draw(t, "words"), "") })
}

func TestWriterDoesNotCareHowOutputIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := texts().Draw(t, "text")
		var parts []string
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, min(len(rest), rapid.SampledFrom([]int{1, 3, 100, 1 << 20}).Draw(t, "most"))).Draw(t, "n")
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
		if whole, cut := translate(t, text), translate(t, parts...); whole != cut {
			t.Fatalf("%q in one write becomes %q, in parts %q", text, whole, cut)
		}
	})
}

func TestWriterChangesCommandsOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := texts().Draw(t, "text")
		text = strings.NewReplacer("::", ":_", "##[", "##_").Replace(text)
		text = strings.ReplaceAll(text, "::", ":_")
		if got := translate(t, text); got != text {
			t.Fatalf("%q becomes %q", text, got)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	for name, line := range map[string]string{
		"text":    strings.Repeat("0123456789", 9) + "\n",
		"long":    strings.Repeat("0123456789", 100_000) + "\n",
		"command": "::error file=/github/workspace/some/file.go,line=3::something is wrong with it\n",
		"other":   "::debug::something that only a debug log shows\n",
	} {
		b.Run(fmt.Sprintf("%s/%d", name, len(line)), func(b *testing.B) {
			w := hostpath.NewWriter(io.Discard, mappings())
			data := []byte(line)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Write(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
