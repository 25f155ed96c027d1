package split_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/buildcontext"
	"kiln/internal/split"
	"kiln/internal/tarball"
)

func tree() *buildcontext.Tree {
	var nodes []buildcontext.Node
	for _, name := range []string{"a", "b", "d/", "d/e", "d/f/", "d/f/g", "requirements.txt", "x.tar"} {
		directory := strings.HasSuffix(name, "/")
		nodes = append(nodes, buildcontext.Node{Path: strings.TrimSuffix(name, "/"), Dir: directory, Mode: 0o644})
	}
	return buildcontext.NewTree(append(nodes, buildcontext.Node{Path: "l", Link: "d/f"})...)
}

// archive is what is known of the files: b was not looked into.
func archive(path string) (tarball.Facts, bool) {
	facts := map[string]tarball.Facts{
		"x.tar": {Docker: true}, "d/e": {Docker: true, Foreign: "hard link"}, "d/f/g": {Docker: true, Excess: true}, "a": {},
	}
	of, known := facts[path]
	return of, known
}

func input(dockerfile string) split.Input {
	return split.Input{
		Dockerfile: []byte(dockerfile), Tree: tree(),
		Archive: archive,
		Bases: map[string]split.Base{
			"busybox":  {},
			"user":     {User: "app", Env: []string{"PATH=/bin", "NAME=requirements"}},
			"shell":    {Shell: []string{"/bin/ash", "-c"}},
			"triggers": {Triggers: []string{"ENV A=1", "RUN true", "COPY b /b"}},
			"quiet":    {Triggers: []string{"ENV A=1", "COPY b /b"}},
		},
	}
}

// rest lists a rest as lines.
func rest(plan *split.Plan) string {
	var lines []string
	for _, step := range plan.Rest {
		lines = append(lines, step.Text)
	}
	return strings.Join(lines, "\n")
}

func TestDecide(t *testing.T) {
	for _, test := range []struct {
		name, dockerfile string
		// base is the base part, "" for none; rest what goes on top, paths what the
		// base part gets of the context, "*" for all.
		base, rest, paths string
	}{
		{"no run", "FROM busybox\nCOPY a /a\nENTRYPOINT [\"/a\"]\n", "", "COPY a /a\nENTRYPOINT [\"/a\"]", ""},
		{"scratch", "FROM scratch\nCOPY a /a\n", "", "COPY a /a", ""},
		{"run first", "FROM busybox\nRUN true\nCOPY . /app\nCMD x\n", "FROM busybox\nRUN true\n", "COPY . /app\nCMD x", ""},
		{
			"a file before the run", "FROM busybox\nCOPY requirements.txt /\nRUN pip\nCOPY . .\n",
			"FROM busybox\nCOPY requirements.txt /\nRUN pip\n", "COPY . .", "requirements.txt",
		},
		{
			"the name comes from the base", "FROM user\nCOPY ${NAME}.txt /\nRUN pip\nCOPY . .\n",
			"FROM user\nCOPY ${NAME}.txt /\nRUN pip\n", "COPY . .", "requirements.txt",
		},
		{"all before the run", "FROM busybox\nCOPY . /\nRUN x\nUSER y\n", "FROM busybox\nCOPY . /\nRUN x\n", "USER y", "*"},
		{"a directory behind a link", "FROM busybox\nCOPY l /\nRUN x\n", "FROM busybox\nCOPY l /\nRUN x\n", "", "d d/f d/f/g l"},
		{"a pattern", "FROM busybox\nCOPY ?.t* [ab] /\nRUN x\n", "FROM busybox\nCOPY ?.t* [ab] /\nRUN x\n", "", "a b x.tar"},
		{"parents", "FROM busybox\nCOPY --parents d/./e /\nRUN x\n", "FROM busybox\nCOPY --parents d/./e /\nRUN x\n", "", "d d/e"},
		{"parents with a pattern", "FROM busybox\nCOPY --parents d/*/g /\nRUN x\n", "FROM busybox\nCOPY --parents d/*/g /\nRUN x\n", "", "*"},
		{"a mount", "FROM busybox\nRUN --mount=target=/x true\nCOPY a /\n", "FROM busybox\nRUN --mount=target=/x true\n", "COPY a /", "*"},
		{
			"copy from a stage", "FROM busybox AS b\nRUN x\nCOPY a /\nFROM busybox\nCOPY --from=b /x /\nCOPY b /\n",
			"FROM busybox AS b\nRUN x\nCOPY a /\nFROM busybox\nCOPY --from=b /x /\n", "COPY b /", "a",
		},
		{
			"built from a stage", "FROM busybox AS b\nRUN x\nCOPY a /\nFROM b\nCOPY b /\n",
			"FROM busybox AS b\nRUN x\n", "COPY a /\nFROM b\nCOPY b /", "",
		},
		{
			"a stage's trigger that runs", "FROM busybox AS b\nONBUILD RUN x\nONBUILD COPY a /\nFROM b\nCOPY b /\n",
			"FROM busybox AS b\nONBUILD RUN x\nONBUILD COPY a /\nFROM b\n", "COPY b /", "a",
		},
		{"triggers that run", "FROM triggers\nCOPY a /\n", "FROM triggers\n", "COPY a /", "b"},
		{"triggers that do not", "FROM quiet\nCOPY a /\n", "", "ENV A=1\nCOPY b /b\nCOPY a /", ""},
		{"a URL", "FROM busybox\nADD https://example.com/x /\nCOPY a /\n", "FROM busybox\nADD https://example.com/x /\n", "COPY a /", ""},
		{"an archive", "FROM busybox\nADD x.tar /\nCOPY a /\n", "", "ADD x.tar /\nCOPY a /", ""},
		{"an archive with what is not unpacked here", "FROM busybox\nADD d/e /\nCOPY a /\n", "FROM busybox\nADD d/e /\n", "COPY a /", "d d/e"},
		{"an archive that is too large", "FROM busybox\nADD x.tar l/g /\nCOPY a /\n", "FROM busybox\nADD x.tar l/g /\n", "COPY a /", "d d/f d/f/g l x.tar"},
		{"what may be an archive", "FROM busybox\nADD b /\nCOPY a /\n", "FROM busybox\nADD b /\n", "COPY a /", "b"},
		{"no archive", "FROM busybox\nADD a d /\n", "", "ADD a d /", ""},
		{"a heredoc in the base part", "FROM busybox\nRUN <<E\nx\nE\nCOPY <<F /f\ny\nF\n", "FROM busybox\nRUN <<E\nx\nE\n", "COPY <<F /f", ""},
		{"a continuation", "# c\nFROM busybox\nRUN x \\\n  # c\n  y\n\nENV A=1", "# c\nFROM busybox\nRUN x \\\n  # c\n  y\n", "ENV A=1", ""},
		{"chmod", "FROM busybox\nCOPY a /a\nRUN chmod +x /a\n", "", "COPY a /a\nRUN chmod +x /a", ""},
		{"chmod of more than one", "FROM busybox\nRUN chmod 0755 /a  b/c.sh\n", "", "RUN chmod 0755 /a  b/c.sh", ""},
		{"chmod of a pattern", "FROM busybox\nRUN chmod +x /*\n", "FROM busybox\nRUN chmod +x /*\n", "", ""},
		{"chmod and more", "FROM busybox\nRUN chmod +x /a && x\n", "FROM busybox\nRUN chmod +x /a && x\n", "", ""},
		{"chmod with an option", "FROM busybox\nRUN chmod -R 755 /a\n", "FROM busybox\nRUN chmod -R 755 /a\n", "", ""},
		{"chmod of another kind", "FROM busybox\nRUN chmod u+s /a\n", "FROM busybox\nRUN chmod u+s /a\n", "", ""},
		{"chmod of nobody's bits", "FROM busybox\nRUN chmod -w /a\n", "FROM busybox\nRUN chmod -w /a\n", "", ""},
		{"chmod of everybody's bits", "FROM busybox\nRUN chmod a-w /a\n", "", "RUN chmod a-w /a", ""},
		{"chmod below the working directory", "FROM busybox\nRUN chmod +x ./a ./b/./c\n", "", "RUN chmod +x ./a ./b/./c", ""},
		{"chmod behind a way up", "FROM busybox\nRUN chmod +x /bin/../a\n", "FROM busybox\nRUN chmod +x /bin/../a\n", "", ""},
		{"chmod above the working directory", "FROM busybox\nRUN chmod +x /a ../b\n", "FROM busybox\nRUN chmod +x /a ../b\n", "", ""},
		{"chmod of what a directory is", "FROM busybox\nRUN chmod 700 /a/.\n", "FROM busybox\nRUN chmod 700 /a/.\n", "", ""},
		{"chmod of a directory", "FROM busybox\nRUN chmod 700 /a/\n", "FROM busybox\nRUN chmod 700 /a/\n", "", ""},
		{"chmod of a user", "FROM user\nRUN chmod +x /a\n", "FROM user\nRUN chmod +x /a\n", "", ""},
		{"chmod of a later user", "FROM busybox\nUSER 5\nRUN chmod +x /a\n", "FROM busybox\nUSER 5\nRUN chmod +x /a\n", "", ""},
		{"chmod in another shell", "FROM shell\nRUN chmod +x /a\n", "FROM shell\nRUN chmod +x /a\n", "", ""},
		{"chmod in exec form", "FROM busybox\nRUN [\"chmod\", \"+x\", \"/a\"]\n", "FROM busybox\nRUN [\"chmod\", \"+x\", \"/a\"]\n", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := split.Decide(input(test.dockerfile))
			if err != nil {
				t.Fatal(err)
			}
			paths := strings.Join(plan.Paths, " ")
			if plan.Whole {
				paths = "*"
			}
			got := []string{string(plan.Dockerfile), strings.TrimPrefix(rest(plan), "\n"), paths}
			if diff := cmp.Diff([]string{test.base, test.rest, test.paths}, got); diff != "" {
				t.Errorf("base part, rest and paths (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideIsUnsure(t *testing.T) {
	for name, dockerfile := range map[string]string{
		"a base that is not known":        "FROM other\nCOPY a /\n",
		"the name of the target":          "FROM busybox\nARG TARGETSTAGE\nRUN $TARGETSTAGE\n",
		"a value that grows":              "FROM busybox\nENV A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ENV A=$A$A$A$A\n", 10),
		"a replacement that multiplies":   "FROM busybox\nENV A=${B/a/b}${B/a/b}\n",
		"a trigger that is two":           "FROM two\nCOPY a /\n",
		"an escape that the rest changes": "FROM busybox\nENV A=${\n",
	} {
		t.Run(name, func(t *testing.T) {
			in := input(dockerfile)
			in.Bases["two"] = split.Base{Triggers: []string{"ENV A=1\nENV B=2"}}
			plan, err := split.Decide(in)
			if _, unsure := errors.AsType[*split.Unsure](err); !unsure {
				t.Errorf("got %v and the error %v, want one of type *split.Unsure", plan, err)
			}
		})
	}
}

func TestDecideWithoutChmod(t *testing.T) {
	in := input("FROM busybox\nCOPY a /a\nRUN chmod +x /a\nCMD x\n")
	in.NoChmod = true
	plan, err := split.Decide(in)
	if err != nil {
		t.Fatal(err)
	}
	if got := rest(plan); got != "CMD x" {
		t.Errorf("the rest is %q, want only CMD", got)
	}
}

// TestDecideSkips leaves out what stages copy that are not built.
func TestDecideSkips(t *testing.T) {
	for name, test := range map[string]struct {
		dockerfile string
		skips      []int
		// paths are what the base part gets of the context, "*" for all.
		paths string
	}{
		"one on an image of its own": {"FROM other AS test\nRUN true\nFROM busybox\nCOPY requirements.txt .\nRUN pip\nCOPY . .\n", []int{0}, "requirements.txt"},
		"one that may be built":      {"FROM other AS test\nRUN true\nFROM busybox\nCOPY requirements.txt .\nRUN pip\nCOPY . .\n", nil, "*"},
		"one on a used stage":        {"FROM busybox AS b\nRUN x\nFROM b AS test\nCOPY . .\nRUN x\nFROM b\nCOPY a /\nRUN y\nCOPY . .\n", []int{1}, "a"},
		"one on another":             {"FROM other AS p\nFROM p AS q\nCOPY d /\nFROM busybox\nRUN x\nCOPY a /\n", []int{0, 1}, ""},
		"one that is used after all": {"FROM other AS p\nFROM p AS q\nCOPY d /\nFROM busybox\nRUN x\nCOPY a /\n", []int{0}, "*"},
		"one between others":         {"FROM busybox AS b\nCOPY b /\nFROM other\nADD x.tar /\nFROM busybox\nCOPY --from=b /b /b\nCOPY a /\n", []int{1}, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(test.dockerfile)
			in.Skips = map[int]bool{}
			for _, stage := range test.skips {
				in.Skips[stage] = true
			}
			plan, err := split.Decide(in)
			if err != nil {
				t.Fatal(err)
			}
			paths := strings.Join(plan.Paths, " ")
			if plan.Whole {
				paths = "*"
			}
			if paths != test.paths {
				t.Errorf("the base part gets %q, want %q", paths, test.paths)
			}
		})
	}
}

// TestScope has the values that variables have at the cut, as BuildKit gives them.
func TestScope(t *testing.T) {
	plan, err := split.Decide(input("ARG G=g$TARGETOS\nARG V=global\nFROM user AS one\nARG G\nENV A=$G NAME=new\nARG A=again B=$A\nRUN x\n" +
		"FROM one\nARG V\nARG N\nARG B=\"$B $A\"\nRUN y\nENV LATER=1\n"))
	if err != nil {
		t.Fatal(err)
	}
	scope := plan.Scope()
	got := map[string]string{}
	for _, name := range []string{"G", "A", "B", "V", "N", "NAME", "PATH", "LATER"} {
		if value, found := scope.Get(name); found {
			got[name] = value
		}
	}
	want := map[string]string{"G": "glinux", "A": "glinux", "B": "again glinux", "V": "global", "NAME": "new", "PATH": "/bin"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"G=glinux", "A=glinux", "B=again glinux", "V=global", "N="}, scope.BuildArgs()); diff != "" {
		t.Errorf("build arguments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"PATH=/bin", "NAME=new", "A=glinux"}, plan.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestCmdSet(t *testing.T) {
	for dockerfile, want := range map[string]bool{
		"FROM busybox\nCMD x\nRUN y\nENTRYPOINT z\n":                 true,
		"FROM busybox\nRUN y\nCMD x\nENTRYPOINT z\n":                 false,
		"FROM busybox AS b\nCMD x\nFROM b\nRUN y\nENTRYPOINT z\n":    false,
		"FROM busybox AS b\nONBUILD CMD x\nFROM b\nRUN y\nUSER z\n":  true,
		"FROM busybox AS b\nCMD x\nRUN y\nFROM b\nENTRYPOINT [\"\"]": true,
	} {
		plan, err := split.Decide(input(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		if plan.CmdSet != want {
			t.Errorf("CMD is set: %t, want %t, in\n%s", plan.CmdSet, want, dockerfile)
		}
	}
}

// FuzzDecide wants a base part that reads as the beginning of the whole.
func FuzzDecide(f *testing.F) {
	for _, dockerfile := range []string{
		"FROM busybox\nRUN x\nCOPY a /\n", "# escape=`\nFROM busybox\nRUN x `\n y\nADD a /\n",
		"FROM busybox AS b\nONBUILD RUN x\nFROM b\nCMD x\n", "FROM busybox\nRUN <<A <<B\nx\nA\ny\nB\nENV A=$B\n",
	} {
		f.Add(dockerfile)
	}
	f.Fuzz(func(t *testing.T, dockerfile string) {
		if len(dockerfile) > 4096 {
			t.Skip()
		}
		plan, err := split.Decide(input(dockerfile))
		if err != nil {
			return
		}
		if !strings.HasPrefix(dockerfile, string(plan.Dockerfile)) {
			t.Errorf("the base part %q is not the beginning of %q", plan.Dockerfile, dockerfile)
		}
		for _, step := range plan.Rest {
			if _, err := step.Command(); err != nil {
				t.Errorf("%q of the rest: %v", step.Text, err)
			}
		}
	})
}

// TestArchives lists what ADDs of the rest unpack, and of no others.
func TestArchives(t *testing.T) {
	for dockerfile, want := range map[string]string{
		"FROM busybox\nADD x.tar a /\nCOPY x.tar /y/\nADD *.tar /z\n": "x.tar",
		"FROM busybox\nADD x.tar /\nRUN true\nADD a /\n":              "",
		"FROM busybox\nADD x.tar /\nADD x.tar b /\nADD a /\n":         "",
		"FROM busybox\nCOPY x.tar /\n":                                "",
	} {
		plan, err := split.Decide(input(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(plan.Archives, " "); got != want {
			t.Errorf("%q unpacks %q, want %q", dockerfile, got, want)
		}
	}
}
