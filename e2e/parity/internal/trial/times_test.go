package trial

import (
	"testing"
	"time"

	"kiln/e2e/parity/internal/compare"
	"kiln/internal/buildcontext"
)

// Of all differences between times only those are set aside that kiln or its
// executor makes in every Dockerfile.
func TestLost(t *testing.T) {
	stamp, other := compare.Time(time.Unix(1_000_000_000, 0)), compare.Time(time.Unix(1_200_000_000, 0))
	fixed := compare.Time(buildcontext.Time())
	c := copied{times: map[string]bool{stamp: true}}
	for name, tt := range map[string]struct {
		difference compare.Difference
		want       bool
	}{
		"the time of the build":        {compare.Difference{Attribute: compare.FileTime, Docker: stamp, Kiln: compare.Run}, true},
		"the time of every context":    {compare.Difference{Attribute: compare.FileTime, Docker: stamp, Kiln: fixed}, true},
		"of a link":                    {compare.Difference{Attribute: compare.LinkTime, Docker: other, Kiln: fixed}, true},
		"not a file's of the context":  {compare.Difference{Attribute: compare.FileTime, Docker: other, Kiln: fixed}, false},
		"another time":                 {compare.Difference{Attribute: compare.FileTime, Docker: stamp, Kiln: other}, false},
		"another attribute, same text": {compare.Difference{Attribute: "content", Docker: stamp, Kiln: fixed}, false},
	} {
		if got := c.lost(tt.difference); got != tt.want {
			t.Errorf("%s: lost = %t", name, got)
		}
	}
}
