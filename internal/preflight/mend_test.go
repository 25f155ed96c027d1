package preflight_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/buildcontext"
	"kiln/internal/preflight"
)

// mend returns a Dockerfile as it is sent: its lines, and the files that it
// copies from beside the context.
func mend(t *testing.T, dockerfile, flavor string, bases map[string]preflight.Base) (string, map[string]string, error) {
	t.Helper()
	file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	report, err := file.Report(flavor, nil)
	if err != nil {
		return "", nil, err
	}
	sent, err := report.Send(bases, nil)
	if err != nil {
		return "", nil, err
	}
	var files map[string]string
	for _, f := range sent.Files[2:] {
		if files == nil {
			files = map[string]string{}
		}
		files[f.Name] = string(f.Content)
	}
	return string(sent.Files[0].Content), files, nil
}

func TestMend(t *testing.T) {
	const chainguard, other = preflight.Chainguard, preflight.Osscontainertools
	plain := map[string]preflight.Base{"a": {}}
	for name, tt := range map[string]struct {
		dockerfile, flavor string
		bases              map[string]preflight.Base
		want               string
		files              map[string]string
	}{
		"nothing to do":       {dockerfile: "# c\r\nFROM a\r\nRUN x \\\r\n  y\r\n", want: "# c\r\nFROM a\r\nRUN x \\\r\n  y\r\n"},
		"RUN":                 {dockerfile: "FROM a\nRUN <<EOF\necho \"$A\"\necho 'b'\nEOF\nRUN c\n", want: "FROM a\nRUN [\"/bin/sh\",\"-c\",\"echo \\\"$A\\\"\\necho 'b'\\n\"]\n\n\n\nRUN c\n"},
		"RUN, no end of line": {dockerfile: "FROM a\nRUN <<EOF\nx\nEOF", want: "FROM a\nRUN [\"/bin/sh\",\"-c\",\"x\\n\"]\n\n\n"},
		"RUN, dash":           {dockerfile: "FROM a\nRUN <<-EOF\n\tx\n\t\ty\n\tEOF\n", want: "FROM a\nRUN [\"/bin/sh\",\"-c\",\"x\\ny\\n\"]\n\n\n\n"},
		"RUN, of a command":   {dockerfile: "FROM a\nRUN cat <<'E' > /t\n$x\nE\n", want: "FROM a\nRUN [\"/bin/sh\",\"-c\",\"cat \\u003c\\u003c'E' \\u003e /t\\n$x\\nE\"]\n\n\n"},
		"RUN, two bodies":     {dockerfile: "FROM a\nRUN <<A cat - <<B\n1\nA\n2\nB\n", want: "FROM a\nRUN [\"/bin/sh\",\"-c\",\"\\u003c\\u003cA cat - \\u003c\\u003cB\\n1\\nA\\n2\\nB\"]\n\n\n\n\n"},
		"RUN, flags":          {dockerfile: "FROM a\nRUN --mount=type=secret,id=x <<EOF\nx\nEOF\n", want: "FROM a\nRUN --mount=type=secret,id=x [\"/bin/sh\",\"-c\",\"x\\n\"]\n\n\n"},
		"RUN, SHELL":          {dockerfile: "FROM a\nSHELL [\"/bin/bash\", \"-ec\"]\nRUN <<EOF\nx\nEOF\n", bases: map[string]preflight.Base{}, want: "FROM a\nSHELL [\"/bin/bash\", \"-ec\"]\nRUN [\"/bin/bash\",\"-ec\",\"x\\n\"]\n\n\n"},
		"RUN, parent's SHELL": {dockerfile: "FROM a AS b\nSHELL [\"s\"]\nFROM b\nRUN <<EOF\nx\nEOF\n", want: "FROM a AS b\nSHELL [\"s\"]\nFROM b\nRUN [\"s\",\"x\\n\"]\n\n\n"},
		"RUN, base's SHELL":   {dockerfile: "FROM a AS b\nFROM b\nRUN <<EOF\nx\nEOF\n", bases: map[string]preflight.Base{"a": {Shell: []string{"s", "-c"}}}, want: "FROM a AS b\nFROM b\nRUN [\"s\",\"-c\",\"x\\n\"]\n\n\n"},
		"RUN, scratch":        {dockerfile: "FROM scratch\nRUN <<EOF\nx\nEOF\n", bases: map[string]preflight.Base{}, want: "FROM scratch\nRUN [\"/bin/sh\",\"-c\",\"x\\n\"]\n\n\n"},
		"RUN, escape=`":       {dockerfile: "# escape=`\nFROM a\nRUN `\n  <<EOF\na\\b`\nEOF\n", want: "# escape=`\nFROM a\nRUN [\"/bin/sh\",\"-c\",\"a\\\\b`\\n\"]\n\n\n\n"},
		"RUN, CR LF":          {dockerfile: "FROM a\r\nRUN <<EOF\r\nx\r\nEOF\r\nRUN y\r\n", want: "FROM a\r\nRUN [\"/bin/sh\",\"-c\",\"x\\r\\n\"]\n\n\nRUN y\r\n"},
		"RUN, other flavor":   {dockerfile: "FROM a\nRUN cat <<EOF\nx\nEOF\n", flavor: other, want: "FROM a\nRUN cat <<EOF\nx\nEOF\n"},
		"RUN, other, script":  {dockerfile: "FROM a\nRUN <<EOF\na=1; echo $a\nEOF\n", flavor: other, want: "FROM a\nRUN [\"/bin/sh\",\"-c\",\"a=1; echo $a\\n\"]\n\n\n"},
		"RUN, name of words":  {dockerfile: "FROM a\nRUN 3<<\"E F\"\nx\nE F\n", flavor: other, want: "FROM a\nRUN [\"/bin/sh\",\"-c\",\"x\\n\"]\n\n\n"},
		"RUN, no program":     {dockerfile: "FROM a\nRUN <<EOF\n\t#!/x\nEOF\n", want: "FROM a\nRUN [\"/bin/sh\",\"-c\",\"\\t#!/x\\n\"]\n\n\n"},
		"a stage that nothing uses": {
			dockerfile: "FROM a AS x\n# c\nRUN --mount=type=tmpfs,target=/t y \\\n  z\nCOPY <<E /e\nb\nE\nFROM a\nRUN w\n", want: "\n# c\n\n\n\n\n\nFROM a\nRUN w\n",
		},
		"unused, in between": {
			dockerfile: "# check=skip=all\nARG V=a\nFROM $V AS x\nRUN y\nFROM x AS z\nRUN z\n\nFROM a AS w\n\nFROM x\r\nRUN w\r\n",
			want:       "# check=skip=all\nARG V=a\nFROM $V AS x\nRUN y\n\n\n\n\n\nFROM x\r\nRUN w\r\n",
		},
		"unused, no directive": {dockerfile: "FROM a AS x\n# escape=`\nFROM a\nRUN x \\\n  y\n", want: "\n# escape=`\nFROM a\nRUN x \\\n  y\n"},
		"unused, other flavor": {dockerfile: "FROM a AS x\nRUN y\nFROM a\n", flavor: other, want: "FROM a AS x\nRUN y\nFROM a\n"},
		"RUN, trigger's shell": {
			dockerfile: "FROM a AS b\nSHELL [\"x\"]\nONBUILD SHELL [\"y\"]\nFROM b\nRUN <<EOF\nx\nEOF\nFROM b\nSHELL [\"z\"]\nCOPY --from=1 a a\nRUN <<EOF\nx\nEOF\n",
			want:       "FROM a AS b\nSHELL [\"x\"]\nONBUILD SHELL [\"y\"]\nFROM b\nRUN [\"y\",\"x\\n\"]\n\n\nFROM b\nSHELL [\"z\"]\nCOPY --from=1 a a\nRUN [\"z\",\"x\\n\"]\n\n\n",
		},
		"RUN, other trigger":  {dockerfile: "FROM a AS b\nSHELL [\"s\"]\nONBUILD USER x\nFROM b\nRUN <<EOF\nx\nEOF\n", want: "FROM a AS b\nSHELL [\"s\"]\nONBUILD USER x\nFROM b\nRUN [\"s\",\"x\\n\"]\n\n\n"},
		"RUN, other and dash": {dockerfile: "FROM a\nRUN <<-EOF\n\tx\nEOF\n", flavor: other, want: "FROM a\nRUN [\"/bin/sh\",\"-c\",\"x\\n\"]\n\n\n"},
		"COPY": {
			dockerfile: "FROM a\nARG D=d\nCOPY --chmod=500 --chown=1:2 <<-'E' <<F b $D /etc/\n\ty\n\t$z\n\tE\nF\n",
			want:       "FROM a\nARG D=d\nCOPY --chown=1:2 --chmod=500 [\"b\",\"$D\",\"../heredoc/3/E\",\"../heredoc/3/F\",\"/etc/\"]\n\n\n\n\n",
			files:      map[string]string{"heredoc/3/E": "y\n$z\n", "heredoc/3/F": ""},
		},
		"COPY, variables": {
			dockerfile: "FROM scratch\nARG V=v\nENV W=w$V\nCOPY <<EOF /f\n$V \"${W}\" \\$V '$V' $none. a\\\\b < <<x\nEOF\n", bases: map[string]preflight.Base{},
			want: "FROM scratch\nARG V=v\nENV W=w$V\nCOPY [\"../heredoc/4/EOF\",\"/f\"]\n\n\n", files: map[string]string{"heredoc/4/EOF": "v \"wv\" $V 'v' . a\\b < <<x\n"},
		},
		"ADD": {dockerfile: "FROM a\nADD <<a.tar /f\nx\na.tar\n", want: "FROM a\nCOPY [\"../heredoc/2/a.tar\",\"/f\"]\n\n\n", files: map[string]string{"heredoc/2/a.tar": "x\n"}},
		"labels": {
			dockerfile: "FROM a\nENV V=v W=\"it's\"\nLABEL a=\"it's $V\" b='$V' c=plain d=\"x$U\" \\\n e=\"$W\" \"f g\"=\"q \\\"x\\\"\" h=a\\\\b\n", flavor: other,
			want: "FROM a\nENV V=v W=\"it's\"\nLABEL \"a\"=\"\\\"it's v\\\"\" \"b\"=\"\\\"\\\\\\$V\\\"\" \"c\"=\"plain\" \"d\"=\"x$U\" \"e\"=\"\\\"it's\\\"\" \"f g\"=\"\\\"q \\\\\\\"x\\\\\\\"\\\"\" \"h\"=\"\\\"a\\\\\\\\b\\\"\"\n\n",
		},
		"CMD that goes": {dockerfile: "FROM a AS x\nCMD x y\nFROM x AS y\nFROM y\nENTRYPOINT [\"e\"]\n", flavor: other, want: "FROM a AS x\nCMD []\nFROM x AS y\nFROM y\nENTRYPOINT [\"e\"]\n"},
		"shell form": {
			dockerfile: "FROM a\nSHELL [\"s\", \"-e\", \"-c\"]\nENTRYPOINT  exec \"$X\" \\\n  y\nCMD z\n",
			want:       "FROM a\nSHELL [\"s\", \"-e\", \"-c\"]\nENTRYPOINT [\"s\",\"-e\",\"-c\",\"exec \\\"$X\\\"   y\"]\n\nCMD [\"s\",\"-e\",\"-c\",\"z\"]\n",
		},
		"shell form, base's SHELL": {
			dockerfile: "FROM a\nCMD z\n", flavor: other, bases: map[string]preflight.Base{"a": {Shell: []string{"s", "-e", "-c"}}},
			want: "FROM a\nCMD [\"s\",\"-e\",\"-c\",\"z\"]\n",
		},
		"owner's group": {
			dockerfile: "FROM a\nRUN addgroup g && adduser -S -G g app && useradd --gid 12 -m b\nRUN echo 'c:x:1:2::/:' >> /etc/passwd\nCOPY --chown=app a /a\nCOPY --chown=b a /a\nADD --chown=c a /a\n", flavor: other,
			want: "FROM a\nRUN addgroup g && adduser -S -G g app && useradd --gid 12 -m b\nRUN echo 'c:x:1:2::/:' >> /etc/passwd\nCOPY --chown=app:g [\"a\",\"/a\"]\nCOPY --chown=b:12 [\"a\",\"/a\"]\nADD --chown=c:2 [\"a\",\"/a\"]\n",
		},
		"ports": {
			dockerfile: "FROM a\nARG P=9\nEXPOSE 80 $P $U 8000-8002/UDP \\\n  1-1\n", want: "FROM a\nARG P=9\nEXPOSE $P $U 1/tcp 80 8000/udp 8001/udp 8002/udp\n\n", flavor: other,
		},
		"port of a trigger": {
			dockerfile: "FROM scratch AS b\nENV P=1-2 M=a=r\nONBUILD ENV P=7\nONBUILD ARG N=a=w\nFROM b\nARG Q=5-6\nEXPOSE $P $Q\nCOPY --chmod=$N a b\n", bases: map[string]preflight.Base{},
			want: "FROM scratch AS b\nENV P=1-2 M=a=r\nONBUILD ENV P=7\nONBUILD ARG N=a=w\nFROM b\nARG Q=5-6\nEXPOSE $P 5/tcp 6/tcp\nCOPY --chmod=222 [\"a\",\"b\"]\n",
		},
		"port with zeros": {dockerfile: "FROM a\nEXPOSE 0080 0/udp 09\n", want: "FROM a\nEXPOSE 0/udp 80/tcp 9/tcp\n"},
		"group":           {dockerfile: "FROM a\nCOPY --chown=:$G a b\nADD --chown=:daemon a b\n", want: "FROM a\nCOPY --chown=:$G a b\nADD --chown=0:daemon [\"a\",\"b\"]\n", flavor: other},
		"group, variable": {dockerfile: "FROM a\nARG G=:g\nARG E\nCOPY --chown=$G a b\nCOPY --chown=$E:1 a b\n", want: "FROM a\nARG G=:g\nARG E\nCOPY --chown=0:g [\"a\",\"b\"]\nCOPY --chown=$E:1 a b\n"},
		"empty flags":     {dockerfile: "FROM a\nARG E=\nCOPY --chown=$E a b\nADD --chown=${E} --chmod=$E$E a /x/\nCOPY --chown=$E --chmod=600 a b\nCOPY --chown=$U a b\n", want: "FROM a\nARG E=\nCOPY [\"a\",\"b\"]\nADD [\"a\",\"/x/\"]\nCOPY --chmod=600 [\"a\",\"b\"]\nCOPY --chown=$U a b\n"},
		"above":           {dockerfile: "FROM a\nCOPY ../../f a/../../b/ .. $X/x a /f/\n", want: "FROM a\nCOPY [\"f\",\"b/\",\".\",\"$X/x\",\"a\",\"/f/\"]\n", flavor: other},
		"dot":             {dockerfile: "FROM a\nCOPY [\"a b\", \"/x y/.\"]\n", want: "FROM a\nCOPY [\"a b\",\"/x y/\"]\n", flavor: other},
		"all at once":     {dockerfile: "FROM a\nCOPY --chmod=a=r,u=rw --chown=:1 \\\n ../a \\\n /etc/.\n", want: "FROM a\nCOPY --chown=0:1 --chmod=644 [\"a\",\"/etc/.\"]\n\n\n"},
		"mode":            {dockerfile: "FROM a\nCOPY --chmod=u=rwx,go=rx a /new/a\n", want: "FROM a\nCOPY --chmod=755 [\"a\",\"/new/a\"]\n"},
		"numbers":         {dockerfile: "FROM a AS x\nFROM --platform=$BUILDPLATFORM a\nFROM a AS y\nFROM a\nCOPY --from=1 a b\nCOPY --from=2 a b\n", want: "\nFROM --platform=$BUILDPLATFORM a AS kiln-stage-1\nFROM a AS y\nFROM a\nCOPY --from=kiln-stage-1 [\"a\",\"b\"]\nCOPY --from=y [\"a\",\"b\"]\n"},
		"numbers, other":  {dockerfile: "FROM a AS x\nFROM a\nFROM a\nCOPY --from=1 a b\n", want: "FROM a AS x\nFROM a\nFROM a\nCOPY --from=1 a b\n", flavor: other},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.flavor == "" {
				tt.flavor = chainguard
			}
			if tt.bases == nil {
				tt.bases = plain
			}
			got, files, err := mend(t, tt.dockerfile, tt.flavor, tt.bases)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Dockerfile (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.files, files); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// What cannot be written so that it is exactly what Docker makes of it is
// refused, where the author has it.
func TestMendRefuses(t *testing.T) {
	heredoc := func(body string) string { return "FROM a\nRUN <<EOF\n" + body + "EOF\n" }
	for name, dockerfile := range map[string]string{
		"program":                       heredoc("#!/bin/sh\n"),
		"longer than a line":            heredoc(strings.Repeat("echo a\n", 10_000)),
		"longer than a line, in JSON":   heredoc(strings.Repeat("<", 20_000) + "\n"),
		"longer than a line of the log": heredoc(strings.Repeat("\"\n", 12_000)),
		"not UTF-8":                     heredoc("\xff\n"),
		"NUL":                           heredoc("a\x00\n"),
		"flag with quotes":              "FROM a\nRUN --mount=type=secret,\"id=a b\" <<EOF\nx\nEOF\n",
		"script of a trigger":           "FROM a AS b\nONBUILD RUN <<EOF\nx\nEOF\nFROM b\n",
		"document of a trigger":         "FROM a AS b\nONBUILD COPY <<EOF /f\nx\nEOF\nFROM b\n",
		"variable of the base":          "FROM a\nCOPY <<EOF /f\n$HOME\nEOF\n",
		"PATH":                          "FROM scratch\nCOPY <<EOF /f\n$PATH\nEOF\n",
		"default of a variable":         "FROM scratch\nCOPY <<EOF /f\n${A:-b}\nEOF\n",
		"document not UTF-8":            "FROM a\nCOPY <<'EOF' /f\n\xff\nEOF\n",
		"document beside a pattern":     "FROM a\nCOPY <<EOF *.sh /f/\nEOF\n",
		"document beside $":             "FROM a\nCOPY <<EOF $X /f/\nEOF\n",
		"document from a stage":         "FROM a AS b\nFROM a\nCOPY --from=b <<EOF x /f/\nEOF\n",
		"document beside an ADD":        "FROM a\nADD <<EOF x /f/\nEOF\n",
		"document twice":                "FROM a\nCOPY <<EOF <<EOF /f/\nEOF\nEOF\n",
		"document with a path":          "FROM a\nCOPY <<../EOF /f\n../EOF\n",
		"document with no name":         "FROM a\nCOPY <<.. /f\n..\n",
		"documents without a slash":     "FROM a\nCOPY <<A <<B /f\nA\nB\n",
		"ports without end":             "FROM a\nEXPOSE 1-65535\n",
		"ports back":                    "FROM a\nEXPOSE 9-8\n",
		"ports of a host":               "FROM a\nEXPOSE 80:80\n",
		"group in a variable":           "FROM a\nARG G=\":'1'\"\nCOPY --chown=$G a b\n",
		"above, in a variable":          "FROM a\nARG A=../a\nCOPY $A b\n",
		"dot in a variable":             "FROM a\nARG A=.\nCOPY a /b/$A\n",
		"mode that adds":                "FROM a\nCOPY --chmod=u+x a b\n",
		"mode with X":                   "FROM a\nCOPY --chmod=a=rX a b\n",
		"mode of a part":                "FROM a\nCOPY --chmod=u=rwx a b\n",
		"mode from a stage":             "FROM a AS x\nFROM a\nCOPY --from=x --chmod=a=r a b\n",
		"something else is wrong":       "FROM a\nCOPY --parents ../a b\n",
		"flag with a space":             "FROM a\nCOPY --chown=\":1 2\" a b\n",
		"stage of the same name":        "FROM a AS y\nFROM a\nFROM a AS y\nFROM a AS z\nFROM a\nCOPY --from=2 a b\n",
		"stage of that name":            "FROM a AS x\nFROM a\nFROM a AS kiln-stage-1\nFROM a\nCOPY --from=1 a b\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := mend(t, dockerfile, preflight.Chainguard, map[string]preflight.Base{"a": {}})
			bad, ok := errors.AsType[*preflight.Error](err)
			if !ok || bad.Advice == "" || !strings.Contains(dockerfile, bad.Text) {
				t.Errorf("error = %#v", err)
			}
		})
	}
	for name, bases := range map[string]map[string]preflight.Base{
		"nothing known":     {},
		"a hidden SHELL":    {"a": {Triggers: []string{"# c\nSH\\\nELL [\"x\"]"}}},
		"a wrong trigger":   {"a": {Triggers: []string{"RUUN x"}}},
		"a trigger's SHELL": {"a": {Triggers: []string{"RUN x", " shell\t[\"x\"]"}}},
		"shell not UTF-8":   {"a": {Shell: []string{"\xff"}}},
		"endless shell":     {"a": {Shell: []string{strings.Repeat("x", 100_000)}}},
	} {
		if got, _, err := mend(t, heredoc("x\n"), preflight.Chainguard, bases); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What is sent goes by what the report has found in the context.
func TestMendAfterContext(t *testing.T) {
	tree := buildcontext.NewTree(buildcontext.Node{Path: "d", Dir: true, Mode: 0o755})
	for _, dockerfile := range []string{"FROM a\nARG A=.\nCOPY d /new/$A\n", "FROM a\nCOPY d /new/.\n"} {
		file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		report, err := file.Report(preflight.Chainguard, preflight.Listed(tree))
		if err != nil {
			t.Fatal(err)
		}
		sent, err := report.Send(nil, nil)
		if err != nil {
			t.Errorf("Report lets pass what Send refuses: %v", err)
			continue
		}
		if got := string(sent.Files[0].Content); got != dockerfile {
			t.Errorf("%q became %q", dockerfile, got)
		}
	}
}

// The patterns of a .dockerignore do not keep heredocs out.
func TestMendIgnore(t *testing.T) {
	for dockerfile, want := range map[string]string{"FROM a\n": "*", "FROM a\nCOPY <<E /e\nE\n": "*\n!**/heredoc/*/*\n"} {
		file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
		if err != nil {
			t.Fatal(err)
		}
		report, err := file.Report(preflight.Chainguard, nil)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := report.Send(nil, []byte("*"))
		if err != nil {
			t.Fatal(err)
		}
		if got := sent.Files[1]; got.Name != "Dockerfile.dockerignore" || string(got.Content) != want {
			t.Errorf("%q: %s has %q, want %q", dockerfile, got.Name, got.Content, want)
		}
	}
}

// The log of the build names instructions as they are sent.
func TestMendNamesInstructions(t *testing.T) {
	file, err := preflight.Parse("Dockerfile", []byte("FROM a\nRUN <<EOF\nx\nEOF\nCOPY ../a \\\n  b\nRUN y\n"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := file.Report(preflight.Chainguard, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Shells; len(got) != 1 || got[0].Reference != "a" {
		t.Errorf("Shells = %v", got)
	}
	before := slices.Clone(file.Instructions)
	sent, err := report.Send(map[string]preflight.Base{"a": {}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []preflight.Stage{{Name: "stage-0", Instructions: []preflight.Instruction{
		{Text: "FROM a", Sent: "FROM a", Line: 1, Layer: true},
		{Text: "RUN <<EOF", Sent: `RUN ["/bin/sh","-c","x\n"]`, Line: 2, Layer: true},
		{Text: "COPY ../a   b", Sent: `COPY ["a","b"]`, Line: 5, Layer: true},
		{Text: "RUN y", Sent: "RUN y", Line: 7, Layer: true},
	}}}
	if diff := cmp.Diff(want, sent.Stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, file.Instructions); diff != "" {
		t.Errorf("the file's own instructions (-before +after):\n%s", diff)
	}
}

// FuzzMend states what holds of every Dockerfile: what is sent can be read, its
// instructions stand in the author's lines, and those that Kaniko can build are
// written as they were.
func FuzzMend(f *testing.F) {
	f.Add("FROM a AS x\nARG A=1\nRUN <<EOF\nx\nEOF\nFROM x\nCOPY --chown=:1 <<-\"E\" ../b /c/.\n\t$A\nE\nEXPOSE 1-3\n")
	f.Add("# escape=`\nFROM a\nRUN a `\n <<A <<'B'\n\\\nA\nB\nCOPY --chmod=a=rwx ../../x y\n")
	f.Add("FROM scratch\nENV V=$W\nCOPY <<EOF /f\n${V}\\$ <<x\nEOF\nADD <<a <<b /x/\na\nb\nFROM a\nFROM a\nCOPY --from=1 ../a b\n")
	f.Fuzz(func(t *testing.T, dockerfile string) {
		for _, flavor := range flavors() {
			file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
			if err != nil {
				return
			}
			report, err := file.Report(flavor, nil)
			if err != nil {
				if _, ok := errors.AsType[*preflight.Error](err); !ok {
					t.Errorf("error = %#v", err)
				}
				continue
			}
			bases := map[string]preflight.Base{}
			for _, image := range report.Shells {
				bases[image.Reference] = preflight.Base{}
			}
			sent, err := report.Send(bases, nil)
			if err != nil {
				if bad, ok := errors.AsType[*preflight.Error](err); !ok || bad.Line == 0 {
					t.Errorf("error = %#v", err)
				}
				continue
			}
			holds(t, file, sent)
		}
	})
}

func holds(t *testing.T, file *preflight.File, sent preflight.Sent) {
	t.Helper()
	again, err := preflight.Parse("Dockerfile", sent.Files[0].Content)
	if err != nil {
		t.Fatalf("what is sent cannot be read: %v\n%s", err, sent.Files[0].Content)
	}
	stages := sent.Stages
	if len(again.Stages) < len(stages) {
		stages = slices.DeleteFunc(slices.Clone(stages), func(s preflight.Stage) bool { return s.Unused })
	}
	if !slices.EqualFunc(stages, again.Stages, sameInstructions) {
		t.Errorf("stages %v became %v", sent.Stages, again.Stages)
	}
	if !cmp.Equal(file.Images, again.Images) {
		t.Errorf("images %v became %v", file.Images, again.Images)
	}
	seen := map[string]bool{}
	for _, f := range sent.Files {
		if seen[f.Name] || strings.Contains(f.Name, "..") || strings.HasPrefix(f.Name, "/") || strings.HasPrefix(f.Name, "context") {
			t.Errorf("the file %q is not one beside the context", f.Name)
		}
		seen[f.Name] = true
	}
}

// sameInstructions reports whether the instructions of a stage that is sent are those
// of one that was read.
func sameInstructions(sent, read preflight.Stage) bool {
	return slices.EqualFunc(sent.Instructions, read.Instructions, func(a, b preflight.Instruction) bool {
		return a.Line == b.Line && a.Sent == b.Text
	})
}
