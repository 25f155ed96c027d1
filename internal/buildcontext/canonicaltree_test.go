package buildcontext_test

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/buildcontext"
)

func TestCanonicalTree(t *testing.T) {
	packed := pack(t, dir("a", 0o2775), file("a/f", "x"), link("a/l", "../f"), file("a-b", "y"))
	var written bytes.Buffer
	sum, tree, err := buildcontext.CanonicalTree(&written, bytes.NewReader(packed), buildcontext.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := buildcontext.ReadTree(&written)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree.Below("."), again.Below(".")); diff != "" || again.Len() != tree.Len() {
		t.Errorf("what was written has another tree (-want +got):\n%s", diff)
	}
	plain, err := buildcontext.Canonical(io.Discard, bytes.NewReader(packed), buildcontext.Limits{})
	if err != nil || plain != sum {
		t.Errorf("Canonical = %v, %v, want %v", plain, err, sum)
	}
	want := []buildcontext.Node{
		{Path: "a", Dir: true, Mode: 0o2775}, {Path: "a/f", Mode: 0o644}, {Path: "a/l", Link: "../f", Mode: 0o777}, {Path: "a-b", Mode: 0o644},
	}
	if diff := cmp.Diff(want, tree.Below(".")); diff != "" || tree.Len() != len(want) {
		t.Errorf("the tree differs (-want +got):\n%s", diff)
	}
}

// What a tree takes in memory has a bound, and the context is accepted all the
// same.
func TestBoundsOfTree(t *testing.T) {
	skipUnderRaceDetector(t)
	var members []member
	for i := range 4300 {
		members = append(members, link("l"+strconv.Itoa(10000+i), strings.Repeat("x", 4000)))
	}
	var written bytes.Buffer
	sum, tree, err := buildcontext.CanonicalTree(&written, bytes.NewReader(pack(t, members...)), buildcontext.Limits{})
	if err != nil || sum.Entries != len(members) || tree != nil {
		t.Errorf("CanonicalTree = %v, %v, %v, want no tree", sum, tree, err)
	}
	if tree, err := buildcontext.ReadTree(&written); err != nil || tree != nil {
		t.Errorf("ReadTree = %v, %v, want no tree", tree, err)
	}
}

func TestCanonicalTreeOfNothing(t *testing.T) {
	_, tree, err := buildcontext.CanonicalTree(io.Discard, strings.NewReader("no tar"), buildcontext.Limits{})
	if err == nil || tree != nil {
		t.Errorf("CanonicalTree = %v, %v, want an error", tree, err)
	}
	if tree, err := buildcontext.ReadTree(strings.NewReader("no tar")); err == nil || tree != nil {
		t.Errorf("ReadTree = %v, %v, want an error", tree, err)
	}
}

func trees() *buildcontext.Tree {
	return buildcontext.NewTree(
		buildcontext.Node{Path: "f"}, buildcontext.Node{Path: "d", Dir: true}, buildcontext.Node{Path: "d/e", Dir: true}, buildcontext.Node{Path: "d/e/f"},
		buildcontext.Node{Path: "d.x"}, buildcontext.Node{Path: "ld", Link: "d"}, buildcontext.Node{Path: "d/up", Link: "../../../f"},
		buildcontext.Node{Path: "abs", Link: "/d/e/../e"}, buildcontext.Node{Path: "loop", Link: "loop"}, buildcontext.Node{Path: "lost", Link: "nowhere"},
		buildcontext.Node{Path: "text", Link: "ld/../d/e"}, buildcontext.Node{Path: "root", Link: "/"},
	)
}

func TestTreeFollow(t *testing.T) {
	for name, want := range map[string]string{
		"f": "f", "/f": "f", "f/": "f", ".": ".", "": ".", "/": ".", "..": ".", "../f": "f", "d/../f": "f",
		"ld": "d", "ld/e/f": "d/e/f", "d/up": "f", "ld/up": "f", "abs/f": "d/e/f", "text/f": "d/e/f", "root/root/f": "f",
		"loop": "", "lost": "", "lost/..": "", "f/x": "", "nowhere": "", "d/f": "",
	} {
		node, found := trees().Follow(name)
		if found != (want != "") || found && node.Path != want {
			t.Errorf("Follow(%q) = %v, %v, want %q", name, node, found, want)
		}
	}
}

func TestTreeBelow(t *testing.T) {
	for name, want := range map[string][]string{"d": {"d/e", "d/e/f", "d/up"}, "d/e": {"d/e/f"}, "f": nil, "nowhere": nil} {
		var got []string
		for _, node := range trees().Below(name) {
			got = append(got, node.Path)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Below(%q) (-want +got):\n%s", name, diff)
		}
	}
}
