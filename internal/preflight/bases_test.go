package preflight_test

import (
	"errors"
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
		{"FROM a\n", preflight.BaseEnvironment{Dots: true}, "has .. in it"},
		{"FROM a\n", preflight.BaseEnvironment{Long: true}, "the environment of the base image a is longer than kiln looks at"},
		{"FROM a\nRUN true\n", preflight.BaseEnvironment{StartInterval: true}, "a HEALTHCHECK with --start-interval"},
		{"FROM a AS x\nRUN true\nFROM x\n", preflight.BaseEnvironment{StartInterval: true}, "Dockerfile:1: the base image a has a HEALTHCHECK"},
		{"FROM a AS x\nHEALTHCHECK NONE\nFROM x\nRUN true\n", preflight.BaseEnvironment{StartInterval: true}, ""},
		{"FROM a AS x\nFROM x\nHEALTHCHECK CMD true\n", preflight.BaseEnvironment{StartInterval: true}, ""},
		{"FROM a AS x\nFROM b\nCOPY --from=x /f /f\n", preflight.BaseEnvironment{StartInterval: true}, ""},
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

// What an ENV of the Dockerfile decides, one of the base image does too.
func TestEnvironmentOfBase(t *testing.T) {
	bases := map[string]preflight.Base{"a": {Env: []string{"PATH=/bin", "V=1", "W=1", "D=/kaniko/x", "EMPTY="}}}
	const after = "(rule ArgAfterEnv)"
	for _, tt := range []struct {
		dockerfile, chainguard, osscontainertools string
	}{
		{"FROM a\nARG V=2\nRUN true\n", "Dockerfile:2: behind the environment of a: with this Kaniko an ENV keeps its value, with Docker the later ARG wins (rule ArgAfterEnv)", ""},
		{"FROM a\nARG V=1 W=2\nRUN true\n", after, ""},
		{"FROM a\nARG V=1\nRUN true\n", "", ""},
		{"FROM a\nARG V=\"1\"\nRUN true\n", "", ""},
		{"FROM a\nARG V\nRUN true\n", "", ""},
		{"ARG V=2\nFROM a\nARG V\nRUN true\n", "Dockerfile:3: ", ""},
		{"ARG V=1\nFROM a\nARG V\nRUN true\n", "", ""},
		{"FROM a\nARG X=2\nRUN true\n", "", ""},
		{"FROM b\nARG V=2\nRUN true\n", "", ""},
		{"FROM a AS x\nARG V=2\nFROM b\nRUN true\n", "", ""}, // not used
		{"FROM a AS x\nFROM x\nARG V=2\nRUN true\n", "Dockerfile:3: ", ""},
		{"FROM a AS x\nARG V=2\nRUN true\nFROM x\nRUN true\n", after, "Dockerfile:4: behind the environment of a: Kaniko gives this stage the value of an ARG"},
		{"FROM a AS x\nARG V=2\nENV V=3\nFROM x\nRUN true\n", after, ""},
		{"FROM a AS x\nARG V=1\nFROM x\nRUN true\n", "", ""},
		{"FROM a AS x\nARG V=2\nFROM b\nCOPY --from=x /f /f\n", after, ""},
		{"FROM a\nCOPY f $D\n", "(rule TargetKaniko)", "(rule TargetKaniko)"},
		{"FROM a\nCOPY --chown=$EMPTY f /f\n", "(rule CopyChownEmpty)", "(rule CopyChownEmpty)"},
		{"FROM a\nARG E=\nCOPY --chown=$EMPTY --chmod=$E f /f\n", "(rule CopyChownEmpty)", "(rule CopyChownEmpty)"},
		{"FROM a\nCOPY --chown=$V f /f\nCOPY --chown=$UNSET f /f\n", "Dockerfile:3: ", "Dockerfile:3: "},
		{"FROM a\nVOLUME /v$V\nRUN echo > /v1/x\n", "(rule VolumeNewDirectory)", "(rule RunNamesVolume)"},
		{"FROM a\nVOLUME /v$V\nRUN echo > /v$V/x\n", "(rule VolumeNewDirectory)", "(rule RunNamesVolume)"},
		{"FROM a\nVOLUME /v$V\nRUN echo > /v${V}/x\n", "(rule VolumeNewDirectory)", "(rule RunNamesVolume)"},
		{"FROM a\nVOLUME /v$V\nRUN echo > /v$W/x\n", "(rule VolumeNewDirectory)", "(rule RunNamesVolume)"},
		{"FROM a\nVOLUME /v$V\nRUN echo > /v$D/x\n", "(rule VolumeNewDirectory)", ""},
		{"FROM a\nEXPOSE ${W}1-${V}3\n", "(rule ExposeRange)", "(rule ExposeRange)"},
	} {
		file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		for flavor, want := range map[string]string{preflight.Chainguard: tt.chainguard, preflight.Osscontainertools: tt.osscontainertools} {
			_, err := file.Above(flavor, nil, bases)
			if (want == "") != (err == nil) || err != nil && !strings.Contains(detail(err), want) {
				t.Errorf("%q with %s: error = %v, want %q", tt.dockerfile, flavor, err, want)
			}
		}
	}
}

// What a USER or WORKDIR of the Dockerfile decides, that of the base image does too.
func TestUserAndWorkdirOfBase(t *testing.T) {
	of := func(user, workdir string) preflight.Base {
		return preflight.Base{User: user, Environment: preflight.BaseEnvironment{Workdir: workdir}}
	}
	bases := map[string]preflight.Base{
		"named": of("mary", "/home/mary"), "number": of("4711", "/srv/x"), "group": of("4711:12", "/"), "own": of("12:12", "/"),
		"other": of("mary:12", "/"), "root": of("0:0", "/srv/x"), "kaniko": of("", "/kaniko"),
	}
	const several, group = "(rule WorkdirSeveralAfterUser)", "(rule RunUserGroup)"
	for _, tt := range []struct {
		dockerfile, chainguard, osscontainertools string
	}{
		{"FROM named\nRUN true\n", "", ""},
		{"FROM named\nWORKDIR /new/x\n", "Dockerfile:2: behind the configuration of named: this Kaniko gives only the last", ""},
		{"FROM named\nWORKDIR x/y\n", several, ""},
		{"FROM named\nWORKDIR x\n", "", ""},
		{"FROM named\nCOPY d/ .\n", "(rule CopyOntoDirectory)", "(rule CopyOntoOwner)"},
		{"FROM named\nCOPY f ./\nCOPY d/ ./d/\n", "(rule CopyOntoDirectory)", ""}, // below /home
		{"FROM number\nCOPY d/ .\n", "(rule CopyOntoDirectory)", "(rule CopyOntoOwner)"},
		{"FROM number\nCOPY d/ ./d/\nRUN true\n", "", ""},
		{"FROM number\nUSER root\nCOPY f ./\nRUN true\n", "", ""},
		{"FROM root\nCOPY d/ .\nRUN true\n", "", ""},
		{"FROM root\nWORKDIR /new/x\n", "", ""},
		{"FROM root\nCOPY g* f new\nRUN true\n", "", ""}, // whether g* is there is not known
		{"FROM root\nCOPY g f new\nRUN true\n", "(rule CopySeveral)", "(rule CopySeveral)"},
		{"FROM group\nRUN true\n", group, ""},
		{"FROM group AS x\nFROM x\nRUN true\n", group, ""},
		{"FROM group AS x\nUSER root\nFROM x\nRUN true\n", "", ""},
		{"FROM own\nRUN true\n", "", ""},
		{"FROM other\nRUN true\n", group, "(rule RunUserOtherGroup)"},
		{"FROM kaniko\nCOPY f ./\n", "(rule TargetKaniko)", "(rule TargetKaniko)"},
	} {
		file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		for flavor, want := range map[string]string{preflight.Chainguard: tt.chainguard, preflight.Osscontainertools: tt.osscontainertools} {
			_, err := file.Above(flavor, nil, bases)
			if (want == "") != (err == nil) || err != nil && !strings.Contains(detail(err), want) {
				t.Errorf("%q with %s: error = %v, want %q", tt.dockerfile, flavor, err, want)
			}
		}
	}
}

// An ENV changes one of two variables of a name.
func TestEnvironmentOfBaseTwice(t *testing.T) {
	bases := map[string]preflight.Base{"a": {Env: []string{"PATH=/bin", "V=1", "W=1", "V=2"}}, "b": {Env: []string{"V=1"}, Triggers: []string{"ENV V=2"}}}
	for dockerfile, want := range map[string]string{
		"FROM a\nENV V=3\nRUN true\n":            "Dockerfile:2: the environment of the base image a sets the variable more than once",
		"FROM a AS x\nFROM x\nENV A=b V=3\n":     "Dockerfile:3: ",
		"FROM a\nENV W=3 A=$V\nRUN true\n":       "",
		"FROM a AS x\nENV V=3\nFROM b\n":         "", // not used
		"FROM b\nENV V=3\nRUN true\n":            "",
		"FROM a AS x\nONBUILD ENV V=3\nFROM x\n": "ENV V=3, a trigger of x: the environment",
	} {
		file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		for _, flavor := range flavors() {
			_, err := file.Above(flavor, nil, bases)
			if (want == "") != (err == nil) || err != nil && !strings.Contains(detail(err), want) {
				t.Errorf("%q with %s: error = %v, want %q", dockerfile, flavor, err, want)
			}
		}
	}
}

// A trigger's ENTRYPOINT drops the CMD of its image with Docker.
func TestCmdOfBase(t *testing.T) {
	for dockerfile, want := range map[string]string{
		"FROM a\nRUN true\n":                      "Dockerfile:1: ONBUILD ENTRYPOINT [\"/e\"], a trigger of a: this Kaniko keeps the CMD",
		"FROM a AS x\nFROM x\nRUN true\n":         "keeps the CMD",
		"FROM a\nENTRYPOINT [\"/f\"]\nRUN true\n": "",
		"FROM a\nCMD [\"x\"]\n":                   "",
		"FROM a AS x\nFROM b\n":                   "",
		"FROM b\n":                                "",
	} {
		file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		triggers := []string{"ENV A=b", `ENTRYPOINT ["/e"]`}
		bases := map[string]preflight.Base{"a": {Triggers: triggers, Environment: preflight.BaseEnvironment{Cmd: true}}, "b": {Triggers: triggers}}
		for flavor, want := range map[string]string{preflight.Chainguard: want, preflight.Osscontainertools: ""} {
			_, err := file.Above(flavor, nil, bases)
			if (want == "") != (err == nil) || err != nil && !strings.Contains(detail(err), want) {
				t.Errorf("%q with %s: error = %v, want %q", dockerfile, flavor, err, want)
			}
		}
	}
}

// The environments of bases are bounded together: there may be a hundred.
func TestEnvironmentsTogether(t *testing.T) {
	long := preflight.Base{Env: []string{"PATH=/bin", "V=" + strings.Repeat("x", 60<<10)}}
	for dockerfile, want := range map[string]bool{
		"FROM a AS a\nFROM b AS b\nFROM c AS c\nFROM d\nCOPY --from=a /x /x\nCOPY --from=b /x /x\nCOPY --from=c /x /x\n":                                   true,
		"FROM a AS a\nFROM b AS b\nFROM c AS c\nFROM d AS d\nFROM e\nCOPY --from=a /x /x\nCOPY --from=b /x /x\nCOPY --from=c /x /x\nCOPY --from=d /x /x\n": false,
		"FROM a AS a\nFROM a AS b\nFROM a AS c\nFROM a AS d\nFROM a\nCOPY --from=a /x /x\nCOPY --from=b /x /x\nCOPY --from=c /x /x\nCOPY --from=d /x /x\n": true,
	} {
		file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.Above(preflight.Osscontainertools, nil, map[string]preflight.Base{"a": long, "b": long, "c": long, "d": long, "e": long})
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "more than 262144 bytes together") {
			t.Errorf("%q: error = %v", dockerfile, err)
		}
	}
}

// detail is all that an error of a Dockerfile says.
func detail(err error) string {
	if bad, ok := errors.AsType[*preflight.Error](err); ok {
		return bad.Detail()
	}
	return err.Error()
}

// A RUN behind a VOLUME is warned of where the base alone says which one that is.
func TestEnvironmentOfBaseWarns(t *testing.T) {
	for dockerfile, want := range map[string]int{
		"FROM a\nVOLUME $D\nRUN true\n":              1,
		"FROM a\nVOLUME /tmp\nVOLUME $D\nRUN true\n": 0, // it was
		"FROM a\nENV D=/x\nVOLUME $D\nRUN true\n":    0, // it was
		"FROM a\nRUN true\nVOLUME $D\n":              0,
	} {
		file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		warned, err := file.Above(preflight.Osscontainertools, nil, map[string]preflight.Base{"a": {Env: []string{"PATH=/bin", "D=/data"}}})
		if err != nil || len(warned) != want || want > 0 && !strings.Contains(warned[0].Message, "(rule RunAfterVolume)") {
			t.Errorf("%q: %v, %v; want %d warnings", dockerfile, warned, err, want)
		}
	}
}
