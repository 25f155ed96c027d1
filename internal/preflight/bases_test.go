package preflight_test

import (
	"strings"
	"testing"

	"kiln/internal/preflight"
)

func TestBase(t *testing.T) {
	none, noPath := preflight.BaseEnvironment{}, preflight.BaseEnvironment{NoPath: true}
	for _, tt := range []struct {
		dockerfile string
		base       preflight.BaseEnvironment
		want       string
	}{
		{"FROM a\nRUN true\n", none, ""},
		{"FROM a\nRUN true\n", noPath, "Dockerfile:1: the environment of the base image a has no PATH"},
		{"FROM a\n", noPath, "has no PATH"},
		{"FROM b\nFROM a\nENV A=$PATH\nENV PATH=/bin\n", noPath, "Dockerfile:2: "},
		{"FROM a\nARG A\nENV PATH=/bin\nRUN true\n", noPath, ""},
		{"FROM a AS x\nENV PATH=/bin\nFROM x\nRUN true\n", noPath, ""},
		{"FROM a\nFROM b\n", noPath, ""},
		{"FROM b\nCOPY --from=a /f /f\n", noPath, ""},
		{"FROM a\n", preflight.BaseEnvironment{Bad: "BARE"}, `has the entry "BARE"`},
		{"FROM a\n", preflight.BaseEnvironment{Relative: true}, "is a relative path"},
	} {
		file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.Base("a", preflight.Base{Environment: tt.base})
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error = %v, want %q", tt.dockerfile, err, tt.want)
		}
	}
}
