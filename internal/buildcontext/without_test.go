package buildcontext_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/buildcontext"
)

func TestWithout(t *testing.T) {
	var nodes []buildcontext.Node
	for _, name := range []string{".dockerignore", "Dockerfile", "a", "build/", "build/Dockerfile", "d/", "d/e", "d/f"} {
		nodes = append(nodes, buildcontext.Node{Path: strings.TrimSuffix(name, "/"), Dir: strings.HasSuffix(name, "/")})
	}
	tree := buildcontext.NewTree(nodes...)
	for ignore, want := range map[string]string{
		"":                            ".dockerignore Dockerfile a build build/Dockerfile d d/e d/f",
		".dockerignore\nDockerfile\n": "a build build/Dockerfile d d/e d/f",
		"build\n":                     ".dockerignore Dockerfile a d d/e d/f",
		"*\n!a\n!d/e\n":               "a d d/e",
		"d\n!d/f\n**/Dockerfile\n":    ".dockerignore a build d d/f",
	} {
		left, err := tree.Without(".dockerignore", []byte(ignore))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, node := range left.Below(".") {
			got = append(got, node.Path)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("without %q (-want +got):\n%s", ignore, diff)
		}
	}
	if _, err := tree.Without(".dockerignore", []byte("[\n")); err == nil {
		t.Error("a malformed pattern was taken")
	}
}
