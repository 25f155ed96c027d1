package preflight_test

import (
	"errors"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"kiln/internal/buildcontext"
	"kiln/internal/preflight"
)

// checkTriggers returns what Above says of triggers of busybox and of
// "a".
func checkTriggers(t *testing.T, dockerfile, flavor string, tree *buildcontext.Tree, onbuild ...string) (preflight.Verdict, string) {
	t.Helper()
	file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	context := preflight.Listed(tree)
	if _, err := file.Report(flavor, context); err != nil {
		t.Fatal(err)
	}
	warned, err := file.Above(flavor, context, map[string]preflight.Base{"a": {Triggers: onbuild}, "busybox": {Triggers: onbuild}})
	var text strings.Builder
	for _, w := range warned {
		text.WriteString(w.Detail("Dockerfile") + "\n")
	}
	bad, ok := errors.AsType[*preflight.Error](err)
	switch {
	case err != nil && !ok:
		t.Fatalf("Above error = %v, want a *preflight.Error", err)
	case err != nil:
		return preflight.Refuse, text.String() + bad.Detail()
	case len(warned) > 0:
		return preflight.Warn, text.String()
	}
	return preflight.Same, ""
}

// asTriggers makes triggers of all that stands behind the last FROM.
func asTriggers(t *testing.T, dockerfile string) (rest string, onbuild []string) {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(dockerfile, "\n")
	end := 0
	for _, node := range parsed.AST.Children {
		if strings.EqualFold(node.Value, "from") {
			end, onbuild = node.EndLine, nil
			continue
		}
		onbuild = append(onbuild, strings.TrimSuffix(strings.Join(lines[node.StartLine-1:node.EndLine], ""), "\n"))
	}
	return strings.Join(lines[:end], ""), onbuild
}

var from = regexp.MustCompile(`from=(\w+)`)

// Every row recognizes its own example in the triggers of a base; only what is
// about FROM, ONBUILD itself or the whole file is in no trigger of an image.
func TestTriggersOfTable(t *testing.T) {
	tried, skipped := 0, 0
	for _, row := range preflight.Table() {
		dockerfile, onbuild := asTriggers(t, strings.Replace(row.Example, "FROM scratch\n", "FROM busybox\n", 1))
		if len(onbuild) == 0 || row.ID == "StageUnused" || strings.HasPrefix(row.Name, "ONBUILD") || strings.HasPrefix(row.Name, "CMD in a stage") || strings.HasPrefix(row.Name, "a stage built from") || strings.HasPrefix(row.Name, "ARG before") {
			continue
		}
		if hasKinds(row.Context) { // no file is looked into for a trigger
			skipped++
			continue
		}
		tried++
		t.Run(row.Name, func(t *testing.T) {
			if found := from.FindStringSubmatch(strings.Join(onbuild, "\n")); found != nil { // a stage that is used
				dockerfile += "COPY --from=" + strings.ToLower(found[1]) + " /bin/true /u\n"
			}
			for _, flavor := range flavors() {
				want := row.Verdict(flavor)
				if want == preflight.Mend {
					want = preflight.Refuse
				}
				got, text := checkTriggers(t, dockerfile, flavor, contextOf(t, row.Context), onbuild...)
				if got != want {
					t.Errorf("%s: Above says %s, want %s\n%s", flavor, got, want, text)
				}
				for _, part := range []string{"a trigger of busybox: ", row.Message, row.Advice, "| FROM busybox"} {
					if want != preflight.Same && !strings.Contains(text, part) {
						t.Errorf("%s: Above says\n%s\nwithout %q", flavor, text, part)
					}
				}
			}
		})
	}
	if all := len(preflight.Table()); tried+skipped != all-6 {
		t.Errorf("%d rows of %d were tried", tried, all)
	}
}

func TestTriggersInContext(t *testing.T) {
	tree := contextOf(t, []string{"f", "l -> f", "d/", "d/g"})
	for name, tt := range map[string]struct {
		dockerfile string
		onbuild    []string
		// want is part of the message for chainguard's fork, empty for none.
		want string
	}{
		"usual":                {"FROM a\nCOPY . .\nRUN true\n", []string{"ARG NODE_ENV", "ENV NODE_ENV $NODE_ENV", "WORKDIR /usr/src/app", "COPY f d /usr/src/app/", "RUN npm install", "COPY . /usr/src/app"}, ""},
		"what is mended":       {"FROM a\nEXPOSE 8000-8002\nCOPY ../f /f\n", []string{"WORKDIR /app"}, ""},
		"unknown variable":     {"FROM a\n", []string{"COPY --chmod=$MODE f $DIR/kaniko"}, ""},
		"own variable":         {"FROM a\n", []string{"ENV MODE=u+x", "COPY --chmod=$MODE f /f"}, "ONBUILD COPY --chmod=$MODE f /f, a trigger of a: this Kaniko only knows octal modes"},
		"by its line":          {"# x\nFROM scratch AS s\nCOPY f /f\nFROM a AS b\nRUN true\nFROM a\nCOPY --from=b /b /b\nCOPY --from=s /f /f\n", []string{"COPY --parents f /x/"}, "Dockerfile:6: ONBUILD COPY --parents f /x/, a trigger of a: Kaniko ignores"},
		"unused stage":         {"FROM a AS x\nRUN true\nFROM scratch AS y\nCOPY f /f\nFROM scratch\nCOPY --from=y /f /f\n", []string{"COPY --parents f /x/"}, ""},
		"another base":         {"FROM b\nRUN true\n", []string{"COPY --parents f /x/"}, ""},
		"of a stage":           {"FROM a AS x\nFROM x\nRUN true\n", []string{"USER 1000:1001"}, "Dockerfile:3: behind the ONBUILD triggers of a: this Kaniko runs the command with the user's own group"},
		"then":                 {"FROM a\nWORKDIR src\nARG A=1\n", []string{"ENV A=2"}, "Dockerfile:3: behind the ONBUILD triggers of a: with this Kaniko an ENV keeps its value"},
		"named before":         {"FROM a\n", []string{"RUN mkdir -p /new/dir", "COPY --chmod=600 f /new/dir/f"}, ""},
		"not named":            {"FROM a\n", []string{"COPY --chmod=600 f /new/dir/f"}, "mode 755"},
		"a link":               {"FROM a\n", []string{"COPY l /l"}, "a trigger of a: l is a symbolic link to f: Docker copies what"},
		"no link":              {"FROM a\n", []string{"COPY f d/ /x/"}, ""},
		"a stage of its own":   {"FROM b AS x\nRUN true\nFROM a\n", []string{"COPY --from=X /bin/app /app"}, "ONBUILD COPY --from=X /bin/app /app, a trigger of a: nothing else uses the stage X"},
		"its number":           {"FROM b AS x\nRUN true\nFROM a\n", []string{"RUN --mount=from=0,target=/x true"}, "nothing else uses the stage 0"},
		"a stage that is used": {"FROM b AS x\nRUN true\nFROM a\nCOPY --from=x /y /y\n", []string{"COPY --from=x /bin/app /app"}, ""},
		"no stage":             {"FROM a\n", []string{"COPY --from=b /bin/app /app", "COPY --from=7 /x /x"}, ""},
		"control":              {"FROM a\n", []string{"RUN --network=none echo \x1b[31m ::error:: "}, "ONBUILD RUN --network=none echo  [31m"},
	} {
		t.Run(name, func(t *testing.T) {
			got, text := checkTriggers(t, tt.dockerfile, preflight.Chainguard, tree, tt.onbuild...)
			if (got == preflight.Refuse) != (tt.want != "") || !strings.Contains(text, tt.want) || strings.ContainsRune(text, '\x1b') {
				t.Errorf("Above says %s, want %q\n%s", got, tt.want, text)
			}
		})
	}
}

func TestTriggersDetail(t *testing.T) {
	_, text := checkTriggers(t, "ARG V=1\nFROM a AS b\n", preflight.Osscontainertools, nil, "COPY --parents a/b /x/", "RUN --network=none "+strings.Repeat("x ", 100))
	want := strings.Join([]string{
		"Dockerfile:2: ONBUILD COPY --parents a/b /x/, a trigger of a: Kaniko ignores --parents: the files would all land in one directory (rule CopyParents)",
		"  2 | FROM a AS b",
		"    |      ^",
		"  Use another base image, or change the trigger in this one. Write one COPY for each directory.",
		"Dockerfile:2: ONBUILD RUN --network=none " + strings.Repeat("x ", 30) + "x..., a trigger of a: Kaniko ignores --network: the RUN would have the build pod's network (rule RunNetwork)",
		"  2 | FROM a AS b",
		"    |      ^",
		"  Use another base image, or change the trigger in this one. Remove the flag; a NetworkPolicy of the operator limits what build pods reach.",
	}, "\n")
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("Above (-want +got):\n%s", diff)
	}
}

// Triggers are looked at for the check alone, again and again.
func TestTriggersLeaveNothing(t *testing.T) {
	file, err := preflight.Parse("Dockerfile", []byte("FROM a\nARG A=1\n"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := file.Above(preflight.Chainguard, nil, map[string]preflight.Base{"a": {Triggers: []string{"ENV A=2"}}}); err == nil {
			t.Error("Above has no error")
		}
		if _, err := file.Report(preflight.Chainguard, nil); err != nil {
			t.Errorf("Report: %v", err)
		}
	}
}

// A base is hostile, and may be that of many stages.
func TestTriggersBounds(t *testing.T) {
	doubling := []string{"ARG A0=xxxxxxxxxxxxxxxx"}
	for range 30 {
		doubling = append(doubling, "ARG A0=$A0$A0")
	}
	for name, tt := range map[string]struct {
		dockerfile string
		onbuild    []string
		want       string
	}{
		"many":     {"FROM a\nRUN true\n", repeat("RUN true", 999), "more than 1000 instructions"},
		"in all":   {"FROM a AS s\nRUN true\nFROM a\nCOPY --from=s /a /a\n", repeat("RUN true", 499), "more than 1000 instructions"},
		"large":    {"FROM a AS s\nRUN true\nFROM a\nCOPY --from=s /a /a\n", repeat("RUN "+strings.Repeat("x", 30<<10), 20), "or 1048576 bytes"},
		"doubling": {"FROM a\n", doubling, "Dockerfile:1: ONBUILD ARG A0=$A0$A0, a trigger of a: a value is longer than 4096 bytes"},
		"unknown":  {"FROM a\n", []string{"RUUN x"}, "unknown instruction: RUUN"},
		"FROM":     {"FROM a\n", []string{"FROM evil"}, "FROM is not allowed"},
		"refused":  {"FROM a\n", repeat("RUN --network=none true", 500), "(and 19 more)"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.Above(preflight.Chainguard, nil, map[string]preflight.Base{"a": {Triggers: tt.onbuild}})
			if _, ok := errors.AsType[*preflight.Error](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func repeat(text string, count int) []string {
	var all []string
	for range count {
		all = append(all, text)
	}
	return all
}

// The triggers of an earlier stage are looked at with the Dockerfile.
func TestTriggersOfStages(t *testing.T) {
	const child = "FROM b\nRUN true\n"
	for name, tt := range map[string]struct{ dockerfile, want string }{
		"usual":           {"FROM a AS b\nONBUILD RUN true\nONBUILD COPY . /src\n" + child, ""},
		"refused":         {"FROM a AS b\nONBUILD COPY --parents f /x/\n" + child, "Dockerfile:3: ONBUILD COPY --parents f /x/, a trigger of b: Kaniko ignores --parents"},
		"what is mended":  {"FROM a AS b\nONBUILD EXPOSE 1-2\n" + child, "Dockerfile:3: ONBUILD EXPOSE 1-2, a trigger of b: Kaniko takes only"},
		"of none":         {"FROM a AS b\nONBUILD COPY --parents f /x/\nRUN true\n", ""},
		"of unused":       {"FROM a AS b\nONBUILD COPY --parents f /x/\nFROM b\nFROM a\n", ""},
		"two levels":      {"FROM a AS b\nONBUILD USER 1:2\nFROM b AS c\nUSER 0\nFROM c\nRUN true\n", ""},
		"part of a stage": {"FROM a AS u\nFROM a AS b\nONBUILD COPY --from=u /d /d\n" + child + "COPY --from=u /d/a /a\n", "Dockerfile:4: ONBUILD COPY --from=u /d /d, a trigger of b: this Kaniko keeps of another stage or image only"},
		"an image":        {"FROM a AS b\nONBUILD COPY --from=c /d /d\n" + child, "this Kaniko keeps of another stage or image only"},
		"later stage":     {"FROM a AS b\nONBUILD COPY --from=c /x /x\nFROM b AS d\nRUN true\nFROM a AS c\nFROM d\nCOPY --from=c /y /y\n", "Dockerfile:3: ONBUILD COPY --from=c /x /x, a trigger of b: --from=c is not an earlier stage"},
		"its own stage":   {"FROM a AS b\nONBUILD COPY --from=1 /x /x\nFROM b\nRUN true\n", "--from=1 is not an earlier stage"},
		"unnamed unused":  {"FROM a\nFROM a AS b\nONBUILD COPY . /src\n" + child, ""},
		"no directory":    {"FROM a AS b\nONBUILD RUN mkdir /new\nCOPY --chmod=600 f /new/f\n" + child, "Dockerfile:3: Kaniko gives the directories that it makes"},
		"a directory":     {"FROM a AS b\nONBUILD RUN mkdir /new\nFROM b\nCOPY --chmod=600 f /new/f\n", ""},
		"many heredocs":   {"FROM a AS b\nONBUILD RUN cat" + series(900, " <<E%[1]d") + "\n" + series(900, "E%[1]d\n") + strings.Repeat("FROM b\n", 20), ", 2000 heredocs, "},
		"two of the name": {"FROM a AS b\nFROM a AS b\nUSER 1:2\nFROM b\nRUN true\n", "Dockerfile:4: more than one stage is named b"},
		"a --from of two": {"FROM a AS b\nFROM a\nCOPY --from=B /x /x\nFROM a AS b\nFROM a\nCOPY --from=1 /x /x\n", "Dockerfile:3: more than one stage is named B"},
		"then":            {"FROM a AS b\nONBUILD USER 1:2\n" + child, "Dockerfile:4: this Kaniko runs the command with the user's own group"},
		"unused stage":    {"FROM a AS u\nFROM a AS b\nONBUILD COPY --from=U /x /x\n" + child, "Dockerfile:4: ONBUILD COPY --from=U /x /x, a trigger of b: nothing else uses the stage U"},
		"used stage":      {"FROM a AS u\nFROM a AS b\nONBUILD COPY --from=u /x /x\n" + child + "COPY --from=u /x /x\n", ""},
		"wrong":           {"FROM a AS b\nONBUILD RUUN x\n" + child, "Dockerfile:2: ONBUILD trigger: unknown instruction: RUUN"},
		"many":            {"FROM a AS b\n" + strings.Repeat("ONBUILD RUN true\n", 100) + strings.Repeat("FROM b\n", 20), "more than 1000 instructions"},
		"large":           {"FROM a AS b\nONBUILD RUN " + strings.Repeat("x", 30<<10) + "\n" + strings.Repeat("FROM b\n", 40), "or 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := preflight.Parse("Dockerfile", []byte(tt.dockerfile))
			if err == nil {
				_, err = file.Report(preflight.Chainguard, nil)
			}
			if _, refused := errors.AsType[*preflight.Error](err); refused != (tt.want != "") || refused && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
			if err != nil {
				return
			}
			if _, err := file.Above(preflight.Chainguard, nil, nil); err != nil {
				t.Errorf("Above: %v", err)
			}
		})
	}
}

// What the triggers of a stage copy from is pulled.
func TestTriggersOfStagesImages(t *testing.T) {
	file, err := preflight.Parse("Dockerfile", []byte("FROM a AS b\nONBUILD COPY --from=c /x /x\nFROM b\nRUN true\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, image := range file.Images {
		got = append(got, image.Reference)
	}
	if diff := cmp.Diff([]string{"a", "c"}, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

// The triggers of a stage are looked at again with what those of an image do
// before them.
func TestTriggersOfStagesBehindImages(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile, trigger string
		want                string
	}{
		"user":     {"FROM a AS b\nONBUILD RUN true\nFROM b\n", "USER 1:2", "Dockerfile:3: behind the ONBUILD triggers of a: ONBUILD RUN true, a trigger of b: this Kaniko runs the command with"},
		"variable": {"FROM a AS b\nONBUILD EXPOSE $P\nFROM b\n", "ENV P=1-2", "Dockerfile:3: behind the ONBUILD triggers of a: ONBUILD EXPOSE $P, a trigger of b: Kaniko takes only"},
		"nothing":  {"FROM a AS b\nONBUILD RUN true\nFROM b\n", "ENV P=1-2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, text := checkTriggers(t, tt.dockerfile, preflight.Chainguard, nil, tt.trigger)
			if (got == preflight.Refuse) != (tt.want != "") || !strings.Contains(text, tt.want) {
				t.Errorf("Above says %s\n%s\nwant %q", got, text, tt.want)
			}
		})
	}
}

// A trigger of an image is within the bounds before it is parsed.
func TestTriggersOfManyHeredocs(t *testing.T) {
	many := "COPY" + series(8000, " <<%[1]x\\\n") + " /a/\n" + series(8000, "%[1]x\n")
	file := plainFile(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := file.Base("a", preflight.Base{Triggers: []string{many}})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "it has more than 2000 heredocs") {
		t.Errorf("error = %v", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > maxAllocated && !raceDetector {
		t.Errorf("allocated %d bytes", used)
	}
}
