package preflight_test

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"testing"

	"kiln/internal/buildcontext"
	"kiln/internal/preflight"
)

// contextOf makes the context of a row's example.
func contextOf(t *testing.T, entries []string) *buildcontext.Tree {
	t.Helper()
	if entries == nil {
		return nil
	}
	var nodes []buildcontext.Node
	for _, entry := range entries {
		name, _, _ := strings.Cut(entry, " = ")
		name, target, _ := strings.Cut(name, " -> ")
		name, octal, _ := strings.Cut(name, " ")
		mode, err := strconv.ParseInt("0"+octal, 8, 64)
		if err != nil {
			t.Fatal(err)
		}
		if octal == "" {
			mode = 0o755
		}
		nodes = append(nodes, buildcontext.Node{Path: path.Clean(name), Dir: strings.HasSuffix(name, "/"), Link: target, Mode: mode})
	}
	return buildcontext.NewTree(nodes...)
}

// The context decides, and what of it cannot be known is left alone.
func TestContext(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile, context, want string
	}{
		"a link by name":             {"FROM a\nCOPY l /l\n", "f,l -> f", "l is a symbolic link to f: Docker copies what a link leads to"},
		"ADD of a link":              {"FROM a\nADD l /l\n", "f,l -> f", "l is a symbolic link to f"},
		"a link from a variable":     {"FROM a\nARG F=l\nCOPY $F /l\n", "f,l -> f", "l is a symbolic link to f"},
		"an unknown variable":        {"FROM a\nCOPY $F /l\nCOPY x$F* /x/\n", "f,l -> f", ""},
		"a link of a stage":          {"FROM a AS b\nRUN ln -s f l\nFROM a\nCOPY --from=b l /l\n", "f,l -> f", ""},
		"a link in a stage not used": {"FROM a AS b\nCOPY l /l\nFROM a AS c\nFROM a\nCOPY --from=c /x /x\n", "f,l -> f", "\n\nFROM a AS c\n"},
		"a link in a directory":      {"FROM a\nCOPY d /d\nCOPY . /x\n", "d/,d/l -> ../f,f", ""},
		"a URL beside a pattern":     {"FROM a\nADD https://example.com/x x* /x/\n", "f", ""},
		"nothing":                    {"FROM a\nCOPY x* y* /x/\n", "f", "nothing in the build context matches"},
		"several to a new path":      {"FROM a\nCOPY f* /new\n", "f1,f2", "path that ends in a slash"},
		"one of two is there":        {"FROM a\nCOPY g* f1 /new\n", "f1,f2", ""},
		"a pattern and a file":       {"FROM a\nCOPY f1* f2 /new\n", "f1,f2", "path that ends in a slash"},
		"several to a directory":     {"FROM a\nCOPY f* /usr/local/bin\nCOPY f* /new/\n", "f1,f2", ""},
		"the whole":                  {"FROM a\nCOPY * /x/\n", "f,d/", "takes the pattern for the whole context"},
		"behind a link":              {"FROM a\nCOPY l/f /f\nCOPY l/f x* /x/\n", "d/,d/f,l -> d", "l/f lies behind a symbolic link"},
		"onto a directory with an owner": {
			"FROM a\nUSER x\nWORKDIR /app\nCOPY src /app\n", "src/,src/f", "gives a directory that exists the owner and mode",
		},
		"onto a home":                           {"FROM a\nCOPY src /home/x\n", "src/", "gives a directory that exists the owner and mode"},
		"below a home":                          {"FROM a\nWORKDIR /home/x/app\nCOPY src src\n", "src/", ""},
		"above the context":                     {"FROM a\nCOPY ../f /f\n", "f", `COPY ["f","/f"]`},
		"a link above the context":              {"FROM a\nCOPY ../l /l\n", "f,l -> f", "l is a symbolic link to f"},
		"a file into a directory with an owner": {"FROM a\nUSER x:x\nWORKDIR /app\nCOPY src /app\n", "src", ""},
		"a directory to /.":                     {"FROM a\nCOPY src /new/.\n", "src/", ""},
		"a file to /.":                          {"FROM a\nCOPY src /new/.\n", "src", `COPY ["src","/new/"]`},
		"a pattern that matches in a match":     {"FROM a\nCOPY *[^a-z]? /x/\n", "a1b/,a1b/x/,a1b/x/f", "a1b/x: Kaniko copies"},
		"a pattern that matches a directory":    {"FROM a\nCOPY *[^a-z]? /x/\n", "a1b/,a1b/xyz/", ""},
		"a mode":                                {"FROM a\nCOPY src /new\n", "src/ 700", "src has the mode 700: this Kaniko gives the target the mode"},
		"a mode and --chmod":                    {"FROM a\nCOPY --chmod=755 src /new\n", "src/ 700", ""},
		"a whiteout in a directory":             {"FROM a\nCOPY . /opt/\n", "d/,d/.wh.old", "Dockerfile:2: d/.wh.old: a file"},
		"a whiteout by its name":                {"FROM a\nRUN x\nADD .wh.old f /opt/\n", ".wh.old,f", ".wh.old: "},
		"a whiteout by a pattern":               {"FROM a\nCOPY .w* /opt/\n", ".wh..wh..opq,f", ".wh..wh..opq: "},
		"a directory for a whiteout":            {"FROM a\nCOPY d /opt/\n", "d/,d/.wh.e/,d/.wh.e/f", "d/.wh.e: "},
		"a link for a whiteout":                 {"FROM a\nCOPY d /opt/\n", "d/,d/.wh.e -> f,d/f", "d/.wh.e: "},
		"a whiteout elsewhere":                  {"FROM a\nCOPY d f /opt/\n", "d/,d/a.wh.f,d/.whf,e/,e/.wh.f,f", ""},
		"what is in a whiteout":                 {"FROM a\nCOPY .wh.d /opt/\n", ".wh.d/,.wh.d/f", ""},
		"a file by a whiteout's name":           {"FROM a\nCOPY f /new/.wh.old\n", "f", "/new/.wh.old: "},
		"a whiteout in a parent":                {"FROM a AS b\nCOPY d /opt/\nFROM b\nUSER x\n", "d/,d/.wh.old", "d/.wh.old: "},
		"a whiteout for a stage":                {"FROM a AS b\nCOPY d /opt/\nFROM a\nCOPY --from=b /opt/f /\n", "d/,d/.wh.old,d/f", ""},
		"a whiteout by another name":            {"FROM a\nCOPY .wh.old /new/old\n", ".wh.old", ""},
		"a whiteout of a stage":                 {"FROM a AS b\nFROM a\nCOPY --from=b .wh.old /opt/\n", ".wh.old", ""},
		"no context":                            {"FROM a\nCOPY l x* /l/\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var entries []string
			if tt.context != "" {
				entries = strings.Split(tt.context, ",")
			}
			got, text := verdictWithin(t, tt.dockerfile, preflight.Chainguard, contextOf(t, entries))
			if (got == preflight.Same) != (tt.want == "") || !strings.Contains(text, tt.want) {
				t.Errorf("Report says %s\n%s\nwant %q", got, text, tt.want)
			}
		})
	}
}

// Many patterns and many entries take no longer than a bound allows.
func TestBoundsOfContext(t *testing.T) {
	skipUnderRaceDetector(t)
	nodes := make([]buildcontext.Node, 100_000)
	for i := range nodes {
		nodes[i].Path = fmt.Sprintf("f%06d", i)
	}
	file, err := preflight.Parse("Dockerfile", []byte("FROM a\n"+strings.Repeat("COPY *a* *b* *c* *d* f* /x/\n", 900)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Report(preflight.Chainguard, preflight.Listed(buildcontext.NewTree(nodes...)))
	if err == nil || !strings.Contains(err.Error(), "too many patterns") {
		t.Errorf("Report error = %v", err)
	}
}
