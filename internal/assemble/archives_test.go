package assemble

import (
	"strings"
	"testing"

	"kiln/internal/tarball"
)

// TestAmount bounds what all archives of a rest have together.
func TestAmount(t *testing.T) {
	for name, tt := range map[string]struct {
		list []tarball.Entry
		want string
	}{
		"little":  {[]tarball.Entry{{Name: "a", Size: 1}}, ""},
		"names":   {[]tarball.Entry{{Name: strings.Repeat("n", maxNames/2), Target: "t"}}, "not split: it makes too many files with long names"},
		"entries": {make([]tarball.Entry, maxNodes/2+1), "not split: it makes too many files"},
		"bytes":   {[]tarball.Entry{{Size: maxUnpacked / 2}, {Size: 1}}, "not split: its archives unpack to too much"},
	} {
		of := &amount{}
		if err := of.add(tt.list); err != nil {
			t.Errorf("%s: one archive: %v", name, err)
		}
		got := ""
		if err := of.add(tt.list); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: the error of two archives is %q, want %q", name, got, tt.want)
		}
	}
}

// TestLimit bounds a layer before it is compressed.
func TestLimit(t *testing.T) {
	l := &limit{left: 3}
	if n, err := l.Write([]byte("abc")); n != 3 || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	if _, err := l.Write([]byte("d")); err == nil || err.Error() != "not split: the layer is too large" {
		t.Errorf("the error is %v", err)
	}
}
