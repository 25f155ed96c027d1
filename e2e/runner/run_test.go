package runner_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/runner"
)

// hook writes a hook script and returns its path.
func hook(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func step() runner.Step {
	return runner.Step{ID: "7c", Repository: "acme/app", Dockerfile: "_actions/acme/lint/v1/Dockerfile"}
}

func TestRunReadsEverythingBack(t *testing.T) {
	work := runner.WorkFolder(t.TempDir())
	script := `
read -r message
commands="$RUNNER_TEMP/_runner_file_commands"
echo "out"; echo "err" >&2
echo "greeting=hello" >> "$commands/set_output_7c"
printf 'text<<EOF\na=1\nb\nEOF\n' >> "$commands/set_output_7c"
echo "NAME=value" >> "$commands/set_env_7c"
echo "started=now" >> "$commands/save_state_7c"
echo "/opt/tool/bin" >> "$commands/add_path_7c"
echo "# done" >> "$commands/step_summary_7c"
pwd; echo "$GITHUB_WORKSPACE $EXTRA"
exit 3
`
	s := step()
	s.HookEnv = map[string]string{"EXTRA": "yes"}
	var log bytes.Buffer
	got, err := work.Run(context.Background(), hook(t, script), s, &log)
	if err != nil {
		t.Fatal(err)
	}
	workspace := filepath.Join(string(work), "app", "app")
	wantLog := "out\nerr\n" + workspace + "\n" + workspace + " yes\n"
	if diff := cmp.Diff(wantLog, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if got.ExitCode != 3 || got.Signal != "" || got.OutputHeld || got.OutputBytes != int64(len(wantLog)) {
		t.Errorf("report = %+v", got)
	}
	want := map[string]string{"greeting": "hello", "text": "a=1\nb"}
	if diff := cmp.Diff(want, got.Outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	if got.Env["NAME"] != "value" || got.State["started"] != "now" || got.Summary != "# done\n" ||
		!cmp.Equal(got.Path, []string{"/opt/tool/bin"}) || got.Response != "" {
		t.Errorf("file commands = %+v", got)
	}
}

func TestRunInterruptsAfterFile(t *testing.T) {
	work := runner.WorkFolder(t.TempDir())
	s := step()
	s.Interrupt = &runner.Interrupt{Path: filepath.Join(t.TempDir(), "*", "out"), Signals: []runner.TimedSignal{{Name: "KILL"}}}
	dir := filepath.Join(filepath.Dir(filepath.Dir(s.Interrupt.Path)), "x")
	script := "mkdir " + dir + "; exec >" + dir + "/out; sleep 0.1; echo begun; exec sleep 60"
	var log bytes.Buffer
	got, err := work.Run(context.Background(), hook(t, script), s, &log)
	if err != nil {
		t.Fatal(err)
	}
	if got.ExitCode != 137 || got.Stopped == 0 || got.Duration < 100*time.Millisecond {
		t.Errorf("exit code %d, stopped %v, duration %v; want 137 once the file has content", got.ExitCode, got.Stopped, got.Duration)
	}
}

func TestRunInterrupts(t *testing.T) {
	tests := []struct {
		name       string
		script     string
		signals    []runner.TimedSignal
		wantCode   int
		wantSignal string
	}{
		{
			name:     "the first signal is enough",
			script:   "trap 'exit 130' INT\necho ready\nwhile :; do sleep 0.05; done",
			signals:  runner.Cancel("").Signals,
			wantCode: 130,
		},
		{
			name:       "the next one follows",
			script:     "trap '' INT\necho ready\nexec sleep 60",
			signals:    []runner.TimedSignal{{Name: "INT", Wait: 50 * time.Millisecond}, {Name: "TERM"}},
			wantCode:   143,
			wantSignal: "terminated",
		},
		{
			name:       "kill",
			script:     "echo ready\nexec sleep 60",
			signals:    []runner.TimedSignal{{Name: "KILL"}},
			wantCode:   137,
			wantSignal: "killed",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := step()
			s.Interrupt = &runner.Interrupt{After: "ready", Signals: tt.signals}
			var log bytes.Buffer
			got, err := runner.WorkFolder(t.TempDir()).Run(context.Background(), hook(t, tt.script), s, &log)
			if err != nil {
				t.Fatal(err)
			}
			if got.ExitCode != tt.wantCode || got.Signal != tt.wantSignal || got.Stopped == 0 {
				t.Errorf("report = %+v, want exit code %d and signal %q", got, tt.wantCode, tt.wantSignal)
			}
		})
	}
}

func TestMessage(t *testing.T) {
	s := step()
	s.Args = []string{"--msg", "hello  world", "", `a"b`}
	s.Env = map[string]string{"INPUT_FILE": "/w/app/app/x.txt", "INPUT_HTML": "<b>&"}
	data, err := runner.WorkFolder("/w").Message(s)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(data, []byte("\n")) || bytes.Count(data, []byte("\n")) != 1 {
		t.Errorf("message is not one line: %q", data)
	}
	if !bytes.HasPrefix(data, []byte(`{"command":"run_container_step","responseFile":"/w/_temp/_runner_hook_responses/7c.json","args":{"image":null,"dockerfile":"/w/_actions/acme/lint/v1/Dockerfile","entryPointArgs":`)) {
		t.Errorf("message begins %.200s", data)
	}
	var got struct {
		Args struct {
			EntryPointArgs       []string
			EnvironmentVariables map[string]string
			SystemMountVolumes   []struct{ SourceVolumePath, TargetVolumePath string }
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := []string{`"--msg"`, `"hello`, `world"`, `""`, `"a\"b"`}
	if diff := cmp.Diff(want, got.Args.EntryPointArgs); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"INPUT_FILE":        "/github/workspace/x.txt",
		"INPUT_HTML":        "<b>&",
		"GITHUB_OUTPUT":     "/github/file_commands/set_output_7c",
		"GITHUB_EVENT_PATH": "/github/workflow/event.json",
		"RUNNER_TEMP":       "/github/runner_temp",
		"RUNNER_WORKSPACE":  "/w/app",
		"HOME":              "/github/home",
	} {
		if v := got.Args.EnvironmentVariables[name]; v != want {
			t.Errorf("%s = %q, want %q", name, v, want)
		}
	}
	if n := len(got.Args.SystemMountVolumes); n != 6 {
		t.Errorf("message has %d mounts, want 6", n)
	}
}

func TestLocalDirKeepsTheDot(t *testing.T) {
	want := "app/app/./.github/actions/x"
	if got := runner.LocalDir("acme/app", "./.github/actions/x"); got != want {
		t.Errorf("LocalDir = %q, want %q", got, want)
	}
	s := step()
	s.Dockerfile = want + "/Dockerfile"
	data, err := runner.WorkFolder("/w").Message(s)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `"dockerfile":"/w/app/app/./.github/actions/x/Dockerfile"`) {
		t.Errorf("message lost the dot: %s", data)
	}
}

func TestUnpack(t *testing.T) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, h := range []tar.Header{
		{Name: "_actions/a/b/v1/run.sh", Typeflag: tar.TypeReg, Mode: 0o755, Size: 2},
		{Name: "_actions/a/b/v1/link", Typeflag: tar.TypeSymlink, Linkname: "run.sh"},
	} {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := tw.Write([]byte("hi")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := runner.WorkFolder(dir).Unpack(&buf); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "_actions/a/b/v1/link"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o755 {
		t.Errorf("mode = %v, want 0755", info.Mode())
	}
	if err := runner.WorkFolder(dir).Unpack(strings.NewReader("")); err != nil {
		t.Errorf("an empty stream: %v", err)
	}
}
