package preflight_test

import (
	"testing"

	"kiln/internal/preflight"
)

func TestLines(t *testing.T) {
	dockerfile, err := preflight.Parse("Dockerfile", []byte(
		"FROM alpine AS a\nRUN make\nCOPY x /\ncopy ./lib/y z /d/\nFROM ghcr.io/acme/b\nCOPY --from=a /out /out\nRUN make\nCOPY ../w /\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		instruction, image string
		want               int
	}{
		{"RUN make", "", 2},
		{"copy ./lib/y z /d/", "", 4},
		{"", "ghcr.io/acme/b", 5},
		{"RUN other", "alpine", 1},
		{"", "", 0},
	} {
		if got := dockerfile.Line(tt.instruction, tt.image); got != tt.want {
			t.Errorf("Line(%q, %q) = %d, want %d", tt.instruction, tt.image, got, tt.want)
		}
	}
	for source, want := range map[string]int{"x": 3, "lib/y": 4, "z": 4, "/out": 6, "w": 8, "make": 0, "": 0} {
		if got := dockerfile.SourceLine(source); got != want {
			t.Errorf("SourceLine(%q) = %d, want %d", source, got, want)
		}
	}
}
