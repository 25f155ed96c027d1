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
		_, err = file.Base(preflight.Osscontainertools, "a", preflight.Base{Environment: tt.base})
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error = %v, want %q", tt.dockerfile, err, tt.want)
		}
	}
}

// What an ARG over an ENV of the Dockerfile does it also does over one of the image.
func TestBaseEnv(t *testing.T) {
	base := preflight.Base{Env: []string{"PATH=/bin", "V=1", "W=1"}}
	for _, tt := range []struct {
		dockerfile, chainguard, osscontainertools string
	}{
		{"FROM a\nARG V=2\nRUN true\n", "Dockerfile:2: the base image sets V: with this Kaniko an ENV keeps its value, with Docker the later ARG wins (rule ArgAfterEnv)", ""},
		{"FROM a\nARG V=1 W=2\nRUN true\n", "the base image sets W", ""},
		{"FROM a\nARG V=1\nRUN true\n", "", ""},
		{"FROM a\nARG V\nRUN true\n", "", ""},
		{"ARG V=2\nFROM a\nARG V\nRUN true\n", "Dockerfile:3: ", ""},
		{"ARG V=1\nFROM a\nARG V\nRUN true\n", "", ""},
		{"FROM a\nENV V=3\nARG V=2\nRUN true\n", "", ""}, // of the Dockerfile: the rows say it
		{"FROM a\nARG X=2\nRUN true\n", "", ""},
		{"FROM b\nARG V=2\nRUN true\n", "", ""},
		{"FROM a AS x\nARG V=2\nFROM b\nRUN true\n", "", ""}, // not used
		{"FROM a AS x\nFROM x\nARG V=2\nRUN true\n", "Dockerfile:3: ", ""},
		{"FROM a AS x\nENV V=3\nFROM x\nARG V=2\nRUN true\n", "", ""},
		{"FROM a AS x\nARG V=2\nRUN true\nFROM x\nRUN true\n", "(rule ArgAfterEnv)", "Dockerfile:4: the base image sets V: Kaniko gives this stage the value of an ARG of the stage that it is built from, with Docker it has that of the ENV (rule EnvOfParentShadowed)"},
		{"FROM a AS x\nARG V=2\nENV V=3\nFROM x\nRUN true\n", "(rule ArgAfterEnv)", ""},
		{"FROM a AS x\nARG V=1\nFROM x\nRUN true\n", "", ""},
		{"FROM a AS x\nARG V=2\nFROM b\nCOPY --from=x /f /f\n", "(rule ArgAfterEnv)", ""},
	} {
		file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		for flavor, want := range map[string]string{preflight.Chainguard: tt.chainguard, preflight.Osscontainertools: tt.osscontainertools} {
			_, err := file.Base(flavor, "a", base)
			if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%q with %s: error = %v, want %q", tt.dockerfile, flavor, err, want)
			}
		}
	}
}
