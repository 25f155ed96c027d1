package preflight

import (
	"errors"
	"testing"

	"kiln/internal/buildcontext"
)

// A source that is not there has a place in the line.
func TestMissing(t *testing.T) {
	const dockerfile = "FROM a\nCOPY f lib/x /x/\nRUN true\nADD ./lost y* /y\nCOPY $UNKNOWN /z\nADD https://example.com/z git@example.com:a/b /z/\n"
	file, err := Parse("Dockerfile", []byte(dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	missing := func(context *Context) error {
		c := newCheck(file.outline.source, Chainguard)
		if err := file.outline.over(context).walk(c.noteMissing); err != nil {
			t.Fatal(err)
		}
		return c.verdict()
	}
	if err := missing(nil); err != nil {
		t.Errorf("without a context: %v", err)
	}
	tree := buildcontext.NewTree(buildcontext.Node{Path: "f"}, buildcontext.Node{Path: "lost", Link: "nowhere"})
	bad, ok := errors.AsType[*Error](missing(Listed(tree)))
	if !ok || bad.Kind != Missing {
		t.Fatalf("error = %#v", bad)
	}
	const want = "Dockerfile:2: lib/x is not in the build context, the directory of the Dockerfile\n" +
		"  2 | COPY f lib/x /x/\n" +
		"    |        ^^^^^\n" +
		"  Check the path and .dockerignore.\n" +
		"Dockerfile:4: lost is a symbolic link to nowhere, which is not in the build context, the directory of the Dockerfile\n" +
		"  4 | ADD ./lost y* /y\n" +
		"    |     ^^^^^^\n" +
		"  Check the path and .dockerignore."
	if got := bad.Detail(); got != want {
		t.Errorf("Detail() =\n%s\nwant\n%s", got, want)
	}
}
