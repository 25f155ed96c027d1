//go:build e2e

package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// debianJob is a job with container: of an image of Debian.
func debianJob() runner.Job {
	return runner.Job{
		Container: &runner.Container{Image: "debian:bookworm-slim", Env: map[string]string{"OF_CONTAINER": "$a 'b'"}},
		Externals: externals,
	}
}

// externals is where the runner container has the runner's externals: not on the
// work volume.
const externals = "/tmp/externals"

// TestJob plays a job with a container from its beginning to its end: what its
// steps see of each other and of the runner.
func TestJob(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "job", nil)
	j := f.Prepare(t, debianJob(), nil)
	if c := j.Response.Container; c.ID == "" || c.Network == "" {
		t.Errorf("job.container is %+v", c)
	}
	silent := j.Start(t.Context(), j.Step(runner.Script{Text: "sleep 45\nexit 3\n"}), nil)
	t.Run("cases", func(t *testing.T) {
		for _, tt := range slices.Concat(jobScripts(), jobShells(), jobEnvironment()) {
			t.Run(tt.name, func(t *testing.T) { tt.run(t, j) })
		}
	})
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *suite.Fixture, *suite.Job)
	}{
		{"one container", oneContainer},
		{"workspace", workspaceOfJob},
		{"file commands", fileCommandsOfJob},
		{"tools", toolsOfJob},
		{"composite", compositeOfJob},
		{"home", homeOfJob},
		{"live", liveOfJob},
		{"large output", largeOfJob},
		{"large environment", largeEnvironment},
		{"background process", backgroundOfJob},
		{"background steps", stepsAtOnce},
		{"cancelled", cancelledOfJob},
		{"without kilnd", withoutDaemon},
		{"no token", noToken},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, f, j) })
	}
	t.Run("silent", func(t *testing.T) {
		if result := silent.Wait(t); result.ExitCode != 3 || result.Log != "" {
			t.Errorf("after 45 s: exit code %d, log %q", result.ExitCode, result.Log)
		}
	})
	j.End(t)
	f.WantNothingLeft(t)
	if left, err := f.Run(t.Context(), "find", suite.WorkFolder+"/_kiln"); err == nil {
		t.Errorf("left on the work volume: %s", left)
	}
}

// A jobCase is a step in the job container and what has to come of it.
type jobCase struct {
	name   string
	script runner.Script
	env    map[string]string
	code   int
	log    string // whole; else the texts
	texts  []string
}

func (c jobCase) run(t *testing.T, j *suite.Job) {
	step := j.Step(c.script)
	maps.Copy(step.Env, c.env)
	result := j.Play(t, step, nil)
	if result.ExitCode != c.code {
		t.Errorf("exit code = %d, want %d:\n%s", result.ExitCode, c.code, outcome.Tail(result.Log))
	}
	if c.texts != nil {
		outcome.Log(t, result, c.texts...)
		return
	}
	if diff := cmp.Diff(c.log, result.Log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// jobScripts end in all the ways that a step can end.
func jobScripts() []jobCase {
	return []jobCase{
		{name: "exit code", script: runner.Script{Text: "echo said\nexit 7\n"}, code: 7, log: "said\n"},
		{name: "a command fails", script: runner.Script{Text: "false\necho never\n"}, code: 1},
		{name: "silent, then fails", script: runner.Script{Text: "sleep 3\nexit 3\n"}, code: 3},
		{name: "killed", script: runner.Script{Text: "kill -KILL $$\n"}, code: 137},
		{name: "a fault", script: runner.Script{Text: "kill -SEGV $$\n"}, code: 139},
		{name: "no final newline", script: runner.Script{Text: "printf 'one\\ntwo'\n"}, log: "one\ntwo"},
		{name: "standard output by name", script: runner.Script{Text: "echo one >/dev/stdout\necho two | tee /dev/stderr >/dev/null\necho three >&2\n"}, log: "one\ntwo\nthree\n"},
		{name: "no terminal, no input", script: runner.Script{Text: "test -t 0 || test -t 1 || echo none\ncat\n"}, log: "none\n"},
		{name: "working directory", script: runner.Script{Text: "pwd\n", Dir: "/usr/share"}, log: "/usr/share\n"},
		{name: "missing directory", script: runner.Script{Text: "pwd\n", Dir: "no/such"}, code: 127, texts: []string{`chdir to cwd ("/__w/app/app/no/such"): no such file or directory`}},
	}
}

// jobShells are the shells that a workflow can name.
func jobShells() []jobCase {
	return []jobCase{
		{name: "default shell", script: runner.Script{Text: "echo \"bash ${BASH_VERSION:-none}\"\nfalse | true\nfalse\necho never\n"}, code: 1, log: "bash none\n"},
		{name: "bash", script: runner.Script{Shell: "bash", Text: "echo \"${BASH_VERSION%%.*}\"\nfalse | true\necho never\n"}, code: 1, log: "5\n"},
		{name: "perl", script: runner.Script{Shell: "perl {0}", Text: "print \"from perl\\n\";\n"}, log: "from perl\n"},
		{name: "python is not there", script: runner.Script{Shell: "python", Text: "print(1)\n"}, code: 127, texts: []string{`exec: "python": executable file not found in $PATH`}},
		{name: "pwsh is not there", script: runner.Script{Shell: "pwsh", Text: "exit\n"}, code: 127, texts: []string{`exec: "pwsh": executable file not found in $PATH`}},
	}
}

// oddValue has what quoting gets wrong.
const oddValue = "a \"b\" 'c' $d `e` \\ = ü\nsecond line\t "

// jobEnvironment is what steps find in their environment.
func jobEnvironment() []jobCase {
	return []jobCase{
		{name: "bytes unchanged", env: map[string]string{"ODD": oddValue}, script: runner.Script{Text: `printf '%s' "$ODD"`}, log: oddValue},
		{name: "container.env", script: runner.Script{Text: `echo "$OF_CONTAINER $CI $GITHUB_ACTIONS"`}, log: "$a 'b' true true\n"},
		{name: "a step's over it", env: map[string]string{"OF_CONTAINER": "step", "HOME": "/tmp"}, script: runner.Script{Text: `echo "$OF_CONTAINER $HOME"`}, log: "step /tmp\n"},
		{name: "prepended over PATH", env: map[string]string{"PATH": "/of/the/author"}, script: runner.Script{Text: `/usr/bin/printenv PATH | /usr/bin/cut -d: -f1,2,3`, Shell: "/bin/sh -e {0}", Prepend: []string{"/newer", "/older"}}, log: "/newer:/older:/usr/local/sbin\n"},
		{name: "PATH of the author", env: map[string]string{"PATH": "/of/the/author"}, script: runner.Script{Text: `echo "$PATH"`, Shell: "/bin/sh -e {0}"}, log: "/of/the/author\n"},
		{name: "names with quotes", env: map[string]string{`A'"$`: "kept"}, script: runner.Script{Shell: "perl {0}", Text: `print $ENV{q(A'"$)}, "\n"`}, log: "kept\n"},
	}
}

// oneContainer: all steps see one container.
func oneContainer(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	outcome.Log(t, j.Run(t, "cat /etc/os-release\necho kept >/tmp/kept\n"), "bookworm")
	outcome.OwnLog(t, j.Run(t, "true"), "")
	outcome.OwnLog(t, j.Run(t, "cat /tmp/kept\n"), "kept\n")
}

// workspaceOfJob is one directory for the runner and the job container, and so is
// the temporary one.
func workspaceOfJob(t *testing.T, f *suite.Fixture, j *suite.Job) {
	result := j.Play(t, j.Step(runner.Script{Text: "pwd\necho $GITHUB_WORKSPACE $RUNNER_TEMP\ncat checkout\necho made >made\n"}),
		harness.Files{"app/app/checkout": {Data: []byte("sources\n")}})
	outcome.OwnLog(t, result, "/__w/app/app\n/__w/app/app /__w/_temp\nsources\n")
	if text, err := f.Run(t.Context(), "cat", suite.WorkFolder+"/app/app/made"); err != nil || text != "made\n" {
		t.Errorf("the runner finds %q, %v", text, err)
	}
}

// fileCommandsOfJob: the next step sees what a step appended.
func fileCommandsOfJob(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	result := j.Run(t, "echo a=b >>$GITHUB_OUTPUT\necho GREETING=hello >>$GITHUB_ENV\nmkdir -p /opt/one /opt/two\nprintf '#!/bin/sh\\necho found\\n' >/opt/two/tool\nchmod +x /opt/two/tool\necho /opt/one >>$GITHUB_PATH\necho /opt/two >>$GITHUB_PATH\n")
	if result.Outputs["a"] != "b" {
		t.Errorf("outputs = %v", result.Outputs)
	}
	outcome.OwnLog(t, j.Run(t, "tool\necho $GREETING\necho $PATH\n"), "found\nhello\n/opt/two:/opt/one:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n")
}

// liveOfJob: each line is there when it is printed, and not at the end.
func liveOfJob(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	step := j.Start(t.Context(), j.Step(runner.Script{Text: "echo ::group::first\nuntil test -e go-on; do sleep 0.1; done\necho last\n"}), nil)
	step.Await(t, "::group::first\n")
	outcome.Success(t, j.Run(t, "touch go-on"))
	outcome.OwnLog(t, step.Wait(t), "last\n")
}

// backgroundOfJob: a server that a step leaves behind does not hold the step, and
// is there for the next one.
func backgroundOfJob(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	result := j.Run(t, "sleep 600 &\necho $! >/tmp/server\necho started\n")
	outcome.OwnLog(t, result, "started\n")
	if result.Duration > time.Minute || result.OutputHeld {
		t.Errorf("the step took %v, its output was held: %t", result.Duration, result.OutputHeld)
	}
	outcome.OwnLog(t, j.Run(t, "kill $(cat /tmp/server)\necho it was there\n"), "it was there\n")
}

// stepsAtOnce: as many as a runner lets run beside each other meet in one
// container, each with an output and an exit code of its own.
func stepsAtOnce(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	const steps = 10
	var playing []*suite.Playing
	for i := range steps {
		text := fmt.Sprintf("mkdir -p /tmp/meet; touch /tmp/meet/%d\nuntil test $(ls /tmp/meet | wc -l) = %d; do sleep 0.1; done\necho this is %d\nexit %d\n", i, steps, i, 20+i)
		playing = append(playing, j.Start(t.Context(), j.Step(runner.Script{Text: text}), nil))
	}
	for i, p := range playing {
		result := p.Wait(t)
		if want := fmt.Sprintf("this is %d\n", i); result.ExitCode != 20+i || result.Log != want {
			t.Errorf("step %d: exit code %d, log %q", i, result.ExitCode, result.Log)
		}
	}
}

// cancelledOfJob: a cancelled step gets SIGINT, then SIGTERM, and is gone with all
// that it started; the next one finds a working container.
func cancelledOfJob(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	polite := j.Step(runner.Script{Shell: "bash", Text: "trap 'echo got INT' INT\ntrap 'echo got TERM; exit 4' TERM\necho ready\nwhile :; do sleep 0.1 || true; done\n"})
	polite.Interrupt = runner.Cancel("ready")
	deaf := j.Step(runner.Script{Shell: "bash", Text: "trap '' INT TERM\nset -m\nsleep 601 &\nsetsid --wait sleep 602 &\necho ready\nwhile :; do sleep 603; done\n"})
	deaf.Interrupt = runner.Cancel("ready")
	one, two := j.Start(t.Context(), polite, nil), j.Start(t.Context(), deaf, nil)
	outcome.Lines(t, one.Wait(t), "ready", "got INT", "got TERM", `::error::kiln: the step was cancelled \(interrupt\) \[cancelled\]`)
	if result := two.Wait(t); result.ExitCode == 0 || result.Signal != "" || result.OutputHeld {
		t.Errorf("exit code %d (%s), %v after the first signal; the output was held: %t", result.ExitCode, result.Signal, result.Stopped, result.OutputHeld)
	}
	outcome.OwnLog(t, j.Run(t, "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep '^sleep 60' || true; done\necho over\n"), "over\n")
}

// homeOfJob is the runner's, for steps and for container actions alike.
func homeOfJob(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	outcome.OwnLog(t, j.Run(t, "echo $HOME\necho kept >$HOME/kept\n"), "/github/home\n")
	outcome.OwnLog(t, j.Run(t, "cat ~/kept\n"), "kept\n")
	outcome.OwnLog(t, j.Play(t, sample.Ready("home", "cat $HOME/kept"), nil), "kept\n")
}

// largeOfJob: nothing of 100 MB is missing, nor what stands behind the last newline.
func largeOfJob(t *testing.T, _ *suite.Fixture, j *suite.Job) { wantOutput(t, j, 1_000_000) }

// wantOutput has a step print that many lines of a hundred bytes and an end without
// newline, and fails the test unless each byte arrives.
func wantOutput(t *testing.T, j *suite.Job, lines int) {
	t.Helper()
	const line = "a line of which a million make more than a hundred megabytes, as the output of a large build may be\n"
	step := j.Step(runner.Script{Text: fmt.Sprintf("yes '%s' | head -n %d\nprintf end\n", strings.TrimSpace(line), lines)})
	step.Quiet = true
	result := j.Play(t, step, nil)
	sum := sha256.New()
	for range lines {
		sum.Write([]byte(line))
	}
	sum.Write([]byte("end"))
	if want := hex.EncodeToString(sum.Sum(nil)); result.OutputSHA256 != want || result.OutputBytes != int64(lines*len(line)+3) {
		t.Errorf("%d bytes arrived, want %d", result.OutputBytes, lines*len(line)+3)
	}
}

// toolsOfJob: what a set-up action puts into the tool cache is on PATH later.
func toolsOfJob(t *testing.T, f *suite.Fixture, j *suite.Job) {
	outcome.Success(t, j.Run(t, "dir=$RUNNER_TOOL_CACHE/go/1.2.3/x64/bin\nmkdir -p $dir\nprintf '#!/bin/sh\\necho go1.2.3\\n' >$dir/go\nchmod +x $dir/go\necho $dir >>$GITHUB_PATH\n"))
	outcome.OwnLog(t, j.Run(t, "go version\necho $RUNNER_TOOL_CACHE\n"), "go1.2.3\n/__w/_tool\n")
	if _, err := f.Run(t.Context(), "test", "-x", suite.WorkFolder+"/_tool/go/1.2.3/x64/bin/go"); err != nil {
		t.Error(err)
	}
}

// compositeOfJob: a composite action's steps have the paths of the container.
func compositeOfJob(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	step := j.Step(runner.Script{Shell: "bash", Text: "echo \"$INPUT_WHO\"\n\"$GITHUB_ACTION_PATH/say\"\n"})
	dir := runner.ActionDir("acme/composite@v1")
	step.Env["INPUT_WHO"], step.Env["GITHUB_ACTION_PATH"] = "mona", suite.WorkFolder+"/"+dir
	result := j.Play(t, step, harness.Files{dir + "/say": {Data: []byte("#!/bin/sh\necho from the action\n"), Mode: 0o755}})
	outcome.OwnLog(t, result, "mona\nfrom the action\n")
}

// withoutDaemon: a step takes neither kilnd nor what leads to it, and the runner
// container has no way to the API server.
func withoutDaemon(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	step := j.Step(runner.Script{Text: "echo on its own\n"})
	step.HookEnv = map[string]string{"KILN_EXCHANGE": "/nowhere", "KUBERNETES_SERVICE_HOST": "", "KUBECONFIG": "/nowhere"}
	outcome.OwnLog(t, j.Play(t, step, nil), "on its own\n")
}

// largeEnvironment: a large one is passed on, and one that no process can have is
// the system's own error.
func largeEnvironment(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	step := j.Step(runner.Script{Text: "echo ${#LARGE} $V199\n"})
	for i := range 200 {
		step.Env[fmt.Sprintf("V%d", i)] = fmt.Sprint(i)
	}
	step.Env["LARGE"] = strings.Repeat("x", 100<<10)
	outcome.OwnLog(t, j.Play(t, step, nil), "102400 199\n")
	step = j.Step(runner.Script{Text: "true\n"})
	step.Env["LARGE"] = strings.Repeat("x", 130<<10)
	outcome.Error(t, j.Play(t, step, nil), "argument list too long")
}

// noToken: neither the runner container nor the job's has one of the cluster's.
func noToken(t *testing.T, f *suite.Fixture, j *suite.Job) {
	const token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	if _, err := f.Run(t.Context(), "test", "!", "-e", token); err != nil {
		t.Errorf("the runner container has a token: %v", err)
	}
	outcome.OwnLog(t, j.Run(t, "test ! -e "+token+"\nenv | grep ^KUBERNETES_ || echo none\n"), "none\n")
}
