//go:build e2e

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// TestConformance plays what the runner may ask of a hook, and looks at what
// the action gets of it. The images are ready ones, for the sake of speed.
func TestConformance(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "conform", nil)
	entry := f.Image(t, v1.Config{Entrypoint: []string{"/show", "entry point"}, Cmd: []string{"cmd", "two words"}})
	plain := f.Image(t, v1.Config{Cmd: []string{"/bin/sh"}})
	t.Run("cases", func(t *testing.T) {
		t.Run("arguments", func(t *testing.T) { t.Parallel(); testArguments(t, f, entry) })
		t.Run("odd quoting", func(t *testing.T) { t.Parallel(); testQuoting(t, f, entry) })
		t.Run("exit codes", func(t *testing.T) { t.Parallel(); testExitCodes(t, f, plain) })
		t.Run("first process", func(t *testing.T) { t.Parallel(); testFirstProcess(t, f, plain) })
		t.Run("modes", func(t *testing.T) { t.Parallel(); testModes(t, f) })
		t.Run("users", func(t *testing.T) { t.Parallel(); testUsers(t, f) })
		t.Run("environment", func(t *testing.T) { t.Parallel(); testEnvironment(t, f, plain) })
		t.Run("file commands", func(t *testing.T) { t.Parallel(); testFileCommands(t, f) })
		t.Run("mounts", func(t *testing.T) { t.Parallel(); testMounts(t, f, plain, suite.WorkFolder) })
		t.Run("log", func(t *testing.T) { t.Parallel(); testLog(t, f, plain) })
		t.Run("workflow commands", func(t *testing.T) { t.Parallel(); testCommands(t, f, plain) })
		t.Run("stock scenarios", func(t *testing.T) { t.Parallel(); testStock(t, f) })
	})
	t.Run("nothing is left", f.WantNothingLeft)
}

// testArguments has all combinations of an entry point and arguments, against
// an image with both, and text that a kubelet would expand.
func testArguments(t *testing.T, f *suite.Fixture, image string) {
	literal := []string{"$(HOME)", "$$", "$HOME", "${HOME}", "$(GITHUB_JOB) $$(HOME)", "`id`", `say "hi"`, "it's", "*", "", "ä ö"}
	tests := []struct {
		name, entryPoint string
		args             []string
		program          string
		want             []string
	}{
		{"neither", "", nil, "/show", []string{"entry point", "cmd", "two words"}},
		{"arguments", "", []string{"a b", "c"}, "/show", []string{"entry point", "a b", "c"}},
		{"entry point", "/other", nil, "/other", nil},
		{"both", "/other", []string{"a b", "c"}, "/other", []string{"a b", "c"}},
		{"nothing is expanded", "/other", literal, "/other", literal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			result := f.Play(t, runner.Step{Image: image, EntryPoint: tt.entryPoint, Args: tt.args}, nil)
			outcome.OwnLog(t, result, shown(tt.program, tt.want))
		})
	}
}

// shown is what the program show prints.
func shown(program string, args []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "program: %s\n", program)
	for _, a := range args {
		fmt.Fprintf(&out, "argument: <%s>\n", a)
	}
	return out.String()
}

// testQuoting has argument lines that no shell would take.
func testQuoting(t *testing.T, f *suite.Fixture, image string) {
	tests := []struct {
		name      string
		fragments []any
		want      []string
	}{
		{"an item that ends in a backslash", []any{`"x\"`}, []string{`x"`}},
		{"an open single quote", []any{"it's", "broken"}, []string{"it's", "broken"}},
		{"an open double quote", []any{`"never`, "closed"}, []string{"never closed"}},
		{"single quotes", []any{"-c", "'one", "argument'"}, []string{"-c", "one argument"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			result := f.PlayEdited(t, runner.Step{Image: image, EntryPoint: "/other"}, func(_, args map[string]any) {
				args["entryPointArgs"] = tt.fragments
			})
			outcome.OwnLog(t, result, shown("/other", tt.want))
		})
	}
}

// testExitCodes has codes of the action's own and those of one that cannot be
// started, as Docker tells them.
func testExitCodes(t *testing.T, f *suite.Fixture, image string) {
	type exit struct {
		name, entryPoint string
		args             []string
		want             int
		says             string
	}
	tests := []exit{
		{"no such entry point", "/not-there", nil, 127, "not in the image"},
		{"no such program in PATH", "not-there", nil, 127, "not in the image"},
		{"not executable", "/etc/passwd", nil, 126, "may not be executed"},
		{"a directory", "/etc", nil, 126, "may not be executed"},
	}
	for _, code := range []int{0, 1, 3, 126, 127, 137, 143, 255} {
		tests = append(tests, exit{fmt.Sprint(code), "/bin/sh", []string{"-c", fmt.Sprintf("exit %d", code)}, code, fmt.Sprint(code)})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			result := f.Play(t, runner.Step{Image: image, EntryPoint: tt.entryPoint, Args: tt.args}, nil)
			if result.ExitCode != tt.want {
				t.Errorf("exit code = %d, want %d:\n%s", result.ExitCode, tt.want, result.Log)
			}
			if tt.want != 0 {
				outcome.Error(t, result, tt.says)
			}
		})
	}
}

// testFirstProcess has an action that is a child of its container's first process, which
// tells its end, and two that are it themselves: their image has an init, or they ask for it.
func testFirstProcess(t *testing.T, f *suite.Fixture, plain string) {
	withInit, err := f.PackImage(t.Context(), v1.Config{Cmd: []string{"/bin/sh"}},
		map[string]string{"init": filepath.Join(f.Root, "e2e", "testdata", "programs", "show")})
	if err != nil {
		t.Fatal(err)
	}
	const script = `[ $$ = 1 ] && echo "it is the first" || echo "its parent is $PPID"; ` +
		`echo "by the output of the first" > /proc/1/fd/1; sleep 1000 & exit 3`
	for _, tt := range []struct {
		name, image, init string
		says              string
		tells             bool
	}{
		{"a child", plain, "", "its parent is 1\n", true},
		{"itself", withInit, "", "it is the first\n", false},
		{"as is asked for", plain, "off", "it is the first\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			step := runner.Step{
				Image: tt.image, EntryPoint: "/bin/sh", Args: []string{"-c", script},
				Env: map[string]string{"KILN_INIT": tt.init}, HookEnv: map[string]string{"RUNNER_DEBUG": "1"},
			}
			told := false
			for range 3 { // the node may say it first
				result := f.Play(t, step, nil)
				if result.ExitCode != 3 {
					t.Errorf("exit code = %d, want 3:\n%s", result.ExitCode, result.Log)
				}
				outcome.Log(t, result, tt.says+"by the output of the first\n")
				if told = strings.Contains(result.Log, "told its end itself"); told {
					break
				}
			}
			if told != tt.tells {
				t.Errorf("the end was told: %v, want %v", told, tt.tells)
			}
		})
	}
}

// testModes builds an action twice, with its script's exec bit and without.
func testModes(t *testing.T, f *suite.Fixture) {
	script := []byte("#!/bin/sh\necho \"it runs\"\n")
	t.Run("with the exec bit", func(t *testing.T) {
		t.Parallel()
		results := f.Use(t, f.Testdata("modes"), harness.Use{Uses: "acme/modes@v1"}, nil)
		wantOwnRun(t, results[0])
	})
	t.Run("without it", func(t *testing.T) {
		t.Parallel()
		results := f.Use(t, f.Testdata("modes"), harness.Use{Uses: "acme/modes@v2"},
			harness.Files{"_actions/acme/modes/v2/run.sh": {Data: script, Mode: 0o644}})
		if code := results[0].ExitCode; code != 126 {
			t.Errorf("exit code = %d, want 126:\n%s", code, outcome.Tail(results[0].Log))
		}
		outcome.Error(t, results[0], "may not be executed")
	})
}

func wantOwnRun(t *testing.T, result *harness.Result) {
	t.Helper()
	if result.ExitCode != 0 {
		t.Errorf("exit code = %d, want 0", result.ExitCode)
	}
	outcome.Log(t, result, "it runs\n")
}

// testMounts looks from the runner's side for the marks that an action left in
// the directories that it shares with the runner.
func testMounts(t *testing.T, f *suite.Fixture, image, work string) {
	result := f.Play(t, runner.Step{Image: image, EntryPoint: "/mounts"}, nil)
	want := "directory: /github/workspace\n"
	marks := map[string]string{
		"/github/workspace":     "app/app",
		"/github/home":          "_temp/_github_home",
		"/github/workflow":      "_temp/_github_workflow",
		"/github/file_commands": "_temp/_runner_file_commands",
		"/github/runner_temp":   "_temp",
		"/__w":                  "",
	}
	for _, directory := range []string{"workspace", "home", "workflow", "file_commands", "runner_temp"} {
		want += "mounted: /github/" + directory + "\n"
	}
	want += "mounted: /__w\n" +
		"environment: /github/workspace /github/home /github/workflow/event.json /github/runner_temp\n" +
		"socket: absent\n"
	outcome.OwnLog(t, result, want)
	for target, source := range marks {
		got, err := f.Run(t.Context(), "cat", filepath.Join(work, source, "mark"))
		if err != nil || got != target+"\n" {
			t.Errorf("mark in %s = %q, %v; want that of %s", source, got, err, target)
		}
	}
}

// testLog has an action's lines arrive byte for byte.
func testLog(t *testing.T, f *suite.Fixture, image string) {
	const script = `printf 'bad: \377\376 \303\050\n'; head -c 100000 /dev/zero | tr '\0' y; ` +
		`printf '\n\n  indented\ttab\r\none\rtwo\n\033[31mred\033[0m\nno end'`
	result := f.Play(t, sample.Shell(image, script), nil)
	outcome.OwnLog(t, result, "bad: \xff\xfe \xc3\x28\n"+strings.Repeat("y", 100_000)+
		"\n\n  indented\ttab\r\none\rtwo\n\x1b[31mred\x1b[0m\nno end\n")
	if !strings.Contains(result.Log, "no end\nkiln: ") {
		t.Errorf("what kiln says last is no line of its own:\n%q", outcome.Tail(result.Log))
	}
}

// TestLongLog has a step print 50 MB as fast as it can, several times over what the
// node keeps of a container's log.
func TestLongLog(t *testing.T) {
	wantLongLog(t, suite.New(t, "long", nil))
}

// wantLongLog fails the test unless each line of 50 MB arrives.
func wantLongLog(t *testing.T, f *suite.Fixture) {
	t.Helper()
	const lines = 500_000
	result := f.Play(t, sample.Shell(f.Busybox(), fmt.Sprintf(`exec awk 'BEGIN {
		fill = sprintf("%%90s", ""); gsub(/ /, "x", fill)
		for (i = 1; i <= %d; i++) printf "%%08d %%s\n", i, fill }'`, lines)), nil)
	outcome.Success(t, result)
	outcome.Numbered(t, result, lines)
}

// testCommands has an action talk to the runner.
func testCommands(t *testing.T, f *suite.Fixture, image string) {
	const script = `echo "::notice title=T::from the action"
echo "::add-mask::hunter2"
echo "::set-output name=a::b"
echo "::add-matcher::/github/workspace/matcher.json"
echo "::error file=/github/workspace/main.go,line=3::wrong"
echo "::group::G"
echo "::endgroup::"
`
	result := f.Play(t, sample.Shell(image, script), nil)
	want := []runner.Command{
		{Name: "notice", Properties: "title=T", Data: "from the action"},
		{Name: "add-mask", Data: "hunter2"},
		{Name: "set-output", Properties: "name=a", Data: "b"},
		{Name: "add-matcher", Data: suite.WorkFolder + "/app/app/matcher.json"},
		{Name: "error", Properties: "file=" + suite.WorkFolder + "/app/app/main.go,line=3", Data: "wrong"},
		{Name: "group", Data: "G"},
		{Name: "endgroup"},
	}
	if diff := cmp.Diff(want, runner.Commands(result.Log)); diff != "" {
		t.Errorf("what the runner carries out (-want +got):\n%s\n%s", diff, outcome.Tail(result.Log))
	}
}

// TestTenAtOnce has ten steps in one runner that end only when all of them
// run: four are built, of two actions, and six are of one ready image.
func TestTenAtOnce(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "ten", nil)
	const steps, built = 10, 4
	play := []runner.Step{unpackMeet(t, f, "a"), unpackMeet(t, f, "b")}
	image := f.Image(t, v1.Config{Entrypoint: []string{"/meet"}})
	results := make(chan error, steps)
	for i := range steps {
		step := runner.Step{Image: image}
		if i < built {
			step = play[i%2]
		}
		who := fmt.Sprintf("step-%d", i)
		step.Repository, step.Args, step.Env = "acme/app", []string{who}, map[string]string{"MEET": fmt.Sprint(steps)}
		go func() {
			result, err := f.Step(t.Context(), step, nil, nil)
			results <- met(result, err, who)
		}()
	}
	for range steps {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := f.Seen.Most("job"); n != steps {
		t.Errorf("at most %d action pods were there at the same time, want %d", n, steps)
	}
	f.WantNothingLeft(t)
}

// unpackMeet brings the files of an action to the runner before any step needs
// them, on the back of a message that fails, and returns the action's step.
func unpackMeet(t *testing.T, f *suite.Fixture, name string) runner.Step {
	t.Helper()
	action, err := harness.ReadAction(f.Testdata("meet"))
	if err != nil {
		t.Fatal(err)
	}
	u := harness.Use{Uses: "acme/meet-" + name + "@v1"}
	files, err := action.Files(u)
	if err != nil {
		t.Fatal(err)
	}
	files["_actions/acme/meet-"+name+"/v1/name.txt"] = harness.File{Data: []byte(name)}
	f.Play(t, runner.Step{Raw: []byte("{}\n")}, files)
	return action.Step(harness.Main, u)
}

func met(result *harness.Result, err error, who string) error {
	if err != nil {
		return err
	}
	if result.ExitCode != 0 || !strings.Contains(result.Log, "met: "+who+"\n") {
		return fmt.Errorf("%s: exit code %d after %v:\n%s", who, result.ExitCode, result.Duration.Round(time.Second), outcome.Tail(result.Log))
	}
	return nil
}

// TestOtherWorkFolder has the runner's work folder at another place.
func TestOtherWorkFolder(t *testing.T) {
	t.Parallel()
	const work = "/srv/actions/job folder"
	f := suite.New(t, "folder", func(_ suite.Stage, o *harness.PodOptions) { o.WorkFolder = work })
	testMounts(t, f, f.Image(t, v1.Config{Cmd: []string{"/bin/sh"}}), work)
	results := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "./.github/actions/hello", With: map[string]string{"who-to-greet": "folder"}}, nil)
	outcome.Success(t, results...)
	if got := results[0].Outputs["greeting"]; got != "Hello, folder!" {
		t.Errorf("output greeting = %q", got)
	}
	f.WantNothingLeft(t)
}
