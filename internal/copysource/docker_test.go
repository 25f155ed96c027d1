package copysource_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/copysource"
)

// A class matches a slash too, and BuildKit does not look into a directory that matches.
func TestDockerPattern(t *testing.T) {
	for _, tt := range []struct{ entries, source, want string }{
		{"a1b/, a1b/x/, a1b/x/c.txt", "*[^a-z]?", "a1b"},
		{"a1b/, a1b/x, a1b-c, a1bc", "*[^a-z]?", "a1b a1b-c"},
		{"a1/, a1/b, a1c", "a[0-9]*", "a1 a1c"},
		{"d/, d/a1b/, d/a1b/x/, d/a1b/x/y", "d/*[^a-z]?", "d/a1b"},
		{"abc/, abc/x/, abc/x/y/, abc/x/y/z", "*[^a-z]?", "abc/x"},
		{"a1b, a1b.c/, a1b.c/x", "*[^a-z]?", "a1b a1b.c"},
		{"a1b -> d, d/, d/x/, d/x/y", "*[^a-z]?", "a1b d/x"},
		{"l -> d, d/, d/a1b/, d/a1b/x/", "l/*[^a-z]?", "l/a1b"},
	} {
		matches, err := copysource.Docker(tree(t, tt.entries), tt.source)
		if err != nil {
			t.Errorf("%s of %s: %v", tt.source, tt.entries, err)
		}
		var names []string
		for _, m := range matches {
			names = append(names, m.Name)
		}
		if diff := cmp.Diff(tt.want, strings.Join(names, " ")); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", tt.source, tt.entries, diff)
		}
	}
}

// A link that leads nowhere is no more looked at than all else in a directory that
// matches.
func TestDockerPatternLink(t *testing.T) {
	if _, err := copysource.Docker(tree(t, "a1b/, a1b/x -> nowhere"), "*[^a-z]?"); err != nil {
		t.Errorf("got the error %v, want none", err)
	}
	if _, err := copysource.Docker(tree(t, "abc/, abc/x -> nowhere"), "*[^a-z]?"); !errors.Is(err, copysource.ErrMissing) {
		t.Errorf("got the error %v, want %v", err, copysource.ErrMissing)
	}
}
