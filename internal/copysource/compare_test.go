package copysource_test

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
)

// tree makes a context of "file", "directory/", "directory/ mode" and
// "link -> target".
func tree(t *testing.T, entries string) *buildcontext.Tree {
	t.Helper()
	var nodes []buildcontext.Node
	for entry := range strings.SplitSeq(entries, ", ") {
		name, target, _ := strings.Cut(entry, " -> ")
		name, octal, _ := strings.Cut(name, " ")
		node := buildcontext.Node{Path: path.Clean(name), Dir: strings.HasSuffix(name, "/"), Link: target, Mode: 0o755}
		if octal != "" {
			mode, err := strconv.ParseInt(octal, 8, 64)
			if err != nil {
				t.Fatal(err)
			}
			node.Mode = mode
		}
		nodes = append(nodes, node)
	}
	return buildcontext.NewTree(nodes...)
}

// text writes findings as "problem source name -> target".
func text(findings []copysource.Finding) string {
	var all []string
	for _, f := range findings {
		problem := [...]string{"missing", "link", "lost", "whole", "nothing", "several", "mode", "link below", "set below", "twice"}[f.Problem]
		line := strings.TrimSpace(fmt.Sprintf("%s %d %s", problem, f.Source, f.Name))
		if f.Target != "" {
			line += " -> " + f.Target
		}
		all = append(all, line)
	}
	return strings.Join(all, ", ")
}

func TestCompare(t *testing.T) {
	const links = "f, d/, d/f, l -> f, ld -> d, abs -> /d, out -> ../../d, lost -> nowhere, ll -> l, d/up -> ../d, loop -> loop"
	for _, tt := range []struct{ entries, sources, want string }{
		{"f, d/, d/f", "f", ""},
		{"f, d/, d/f", "/f ./d/f d/ . / ./", ""},
		{"f", "f/", ""},
		{"f", "nowhere", "missing 0 nowhere"},
		{"f", "f nowhere", "missing 1 nowhere"},
		{"f", "f/x", "missing 0 f/x"},
		{"f", "f* nowhere", "missing 1 nowhere"},
		{"f", "nowhere/*", "missing 0 nowhere"},
		{"f", "f/*", "missing 0 f"},
		{links, "lost", "missing 0 lost -> nowhere"},
		{links, "loop", "missing 0 loop -> loop"},
		{links, "lo*", "missing 0 loop -> loop"},

		{links, "l", "link 0 l -> f"},
		{links, "f l", "link 1 l -> f"},
		{links, "ll", "link 0 ll -> l"},
		{links, "ld", "link below 0 d/up, link 0 ld -> d"},
		{links, "ld/", "link below 0 d/up, link 0 ld -> d"},
		{links, "l?", "link below 0 d/up, link 0 ld -> d, several 0"},
		{links, "f* l", "link 1 l -> f, several 0"},
		{links, "d/u*", "link below 0 d/up, link 0 d/up -> ../d"},
		{links, "d/", "link below 0 d/up"},

		{links, "ld/f", ""},
		{links, "d/up/f", ""},
		{links, "abs/f", "lost 0 abs/f"},
		{links, "out/f", "lost 0 out/f"},
		{links, "ld/*", "lost 0 ld/f, link below 0 d/up"},
		{links, "[g-z]*", "missing 0 loop -> loop"},
		{links, "f* ld/f", "lost 1 ld/f"},

		{"a, b", "*", "several 0"},
		{"a, b", "* c", "missing 1 c"},
		{"a, .b", "*", "several 0"},
		{"a, .b", ".*", "whole 0 ., several 0"},
		{"a, bb", "?", "whole 0 ., several 0"},
		{"a, d/, d/f", "*", "whole 0 ., several 0"},
		{"a, d/, d/f", "/*", "whole 0 ., several 0"},
		{"a, d/, d/f", "./*", "whole 0 ., several 0"},
		{"a, d/, d/f", "a* .", "several 0"},
		{"a, d/, d/f", "d/*", ""},
		{"a, d/, d/f", "* ./", "several 0"},

		{"f", "x*", "nothing 0"},
		{"f", "x* y?", "nothing 0"},
		{"f", "x* f", ""},
		{"f", "x* -", ""},
		{"f, d/", "d/*", "nothing 0"},

		{"a1, a2", "a*", "several 0"},
		{"a1", "a*", ""},
		{"d/, d/a, d/b", "d*", ""},
		{"d/, d/a, e/", "[de]", "several 0"},
		{"a1, a2", "a1 a2", ""},

		{"d/ 775, d/e/ 700", "d", "mode 0 d"},
		{"d/ 775, d/e/ 700", ".", ""},
		{"d/, d/e/ 700", "d", ""},
		{"d1/ 775, d2/ 700", "d*", "mode 0 d1, several 0"},
		{"d/ 775, l -> d", "l", "mode 0 l, link 0 l -> d"},
		{"d/, d/e/ 2755, d/e/f/ 4755", "d", "set below 0 d/e"},
		{"d/ 2755, l -> d", "d", "mode 0 d"},

		{"a1b/, a1b/x/, a1b/x/f", "*[^a-z]?", "twice 0 a1b/x, several 0"},
		{"d/, d/a1b/, d/a1b/x", "d/*[^a-z]?", "twice 0 d/a1b/x, several 0"},
		{"a1b/, a1b/x", "a1b *[^a-z]?", "twice 1 a1b/x, several 0"},
		{"ab/, ab/f", "a[b]", ""},

		{"f", "[", ""},
		{"f", "f[ nowhere", ""},
		{"a[0]", "a[[]0]", ""},
		{`a\b, a*b`, `a\*b`, `missing 0 a\*b`},
		{`a*b`, `a\**`, ``},
	} {
		sources := copysource.Sources{}
		for source := range strings.SplitSeq(tt.sources, " ") {
			if source == "-" {
				source, sources.Partial = "", true
			}
			sources.Paths = append(sources.Paths, source)
		}
		if diff := cmp.Diff(tt.want, text(copysource.Compare(tree(t, tt.entries), sources))); diff != "" {
			t.Errorf("COPY %s of %s (-want +got):\n%s", tt.sources, tt.entries, diff)
		}
	}
}
