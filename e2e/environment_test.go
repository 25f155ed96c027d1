//go:build e2e

package e2e_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// testEnvironment compares what the action's process gets with what the runner
// sent.
func testEnvironment(t *testing.T, f *suite.Fixture, image string) {
	printed := runner.Step{Image: image, EntryPoint: "/bin/sh", Args: []string{"-c", "base64 -w 0 /proc/1/environ; echo"}}
	t.Run("names and values", func(t *testing.T) {
		t.Parallel()
		odd := map[string]string{
			"INPUT_WITH SPACE": "space", "INPUT_WITH-DASH": "dash", "INPUT_FOO!": "bang", "A:B": "colon", "1ST": "digit",
			"LINES": "one\ntwo\n\n  three\t\n", "UNICODE": "Grüße, 世界 🎉", "EMPTY": "", "QUOTES": `'"\`,
			"DOLLARS": "$HOME $(HOME) $$(HOME) ${HOME}", "GITHUB_ACTIONS": "no",
		}
		step := printed
		step.Env = maps.Clone(odd)
		step.Env["INPUT_Ä"] = "refused"
		result := f.PlayEdited(t, step, func(_, args map[string]any) {
			if env, ok := args["environmentVariables"].(map[string]any); ok {
				env["NULL"] = nil
			}
		})
		got := environment(t, result)
		odd["GITHUB_ACTIONS"], odd["CI"] = "true", "true"
		for name, want := range odd {
			if value, set := got[name]; !set || value != want {
				t.Errorf("%s = %q (set: %v), want %q", name, value, set, want)
			}
		}
		for _, name := range []string{"NULL", "INPUT_Ä"} {
			if _, set := got[name]; set {
				t.Errorf("%s is set", name)
			}
		}
		var warnings []string
		for _, c := range runner.Commands(result.Log) {
			if c.Name == "warning" {
				warnings = append(warnings, c.Data)
			}
		}
		if len(warnings) != 1 || !strings.HasSuffix(warnings[0], ": INPUT_Ä") {
			t.Errorf("warnings = %q, want one about INPUT_Ä", warnings)
		}
	})
	t.Run("CI of the workflow", func(t *testing.T) {
		t.Parallel()
		step := printed
		step.Env = map[string]string{"CI": "false"}
		if got := environment(t, f.Play(t, step, nil)); got["CI"] != "false" || got["GITHUB_ACTIONS"] != "true" {
			t.Errorf("CI = %q, GITHUB_ACTIONS = %q; want false, true", got["CI"], got["GITHUB_ACTIONS"])
		}
	})
	t.Run("more than 1 MiB", func(t *testing.T) {
		t.Parallel()
		step := printed
		step.Env = map[string]string{}
		for i := range 9 {
			step.Env[fmt.Sprintf("LARGE_%d", i)] = strings.Repeat("x", 120<<10)
		}
		outcome.Error(t, f.Play(t, step, nil), "environment has", "Secret", "through a file")
	})
	t.Run("a value over 128 KiB", func(t *testing.T) {
		t.Parallel()
		step := printed
		step.Env = map[string]string{"LARGE": strings.Repeat("x", 128<<10)}
		outcome.Error(t, f.Play(t, step, nil), "the environment variable LARGE has", "through a file")
	})
}

// environment decodes what a step printed of its process.
func environment(t *testing.T, result *harness.Result) map[string]string {
	t.Helper()
	if result.ExitCode != 0 {
		t.Fatalf("exit code = %d, want 0:\n%s", result.ExitCode, outcome.Tail(result.Log))
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(outcome.Own(result.Log)))
	if err != nil {
		t.Fatalf("decode environment: %v:\n%s", err, outcome.Tail(result.Log))
	}
	env := map[string]string{}
	for entry := range strings.SplitSeq(string(data), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

// testFileCommands plays the same program as several users.
func testFileCommands(t *testing.T, f *suite.Fixture) {
	t.Run("root", func(t *testing.T) {
		t.Parallel()
		wantFilesWritten(t, f, f.Image(t, v1.Config{Entrypoint: []string{"/files"}}), "0")
	})
	t.Run("the runner's user", func(t *testing.T) {
		t.Parallel()
		wantFilesWritten(t, f, f.Image(t, v1.Config{Entrypoint: []string{"/files"}, User: "1001:1001"}), "1001")
	})
	t.Run("another user", func(t *testing.T) {
		t.Parallel()
		result := f.Play(t, runner.Step{Image: f.Image(t, v1.Config{Entrypoint: []string{"/files"}, User: "65534:65534"})}, nil)
		outcome.OwnLog(t, result, filesLog("65534", "denied"))
		if len(result.Outputs) != 0 || result.Summary != "" {
			t.Errorf("outputs = %v, summary = %q; want none", result.Outputs, result.Summary)
		}
	})
}

// filesLog is what the program files prints.
func filesLog(user, what string) string {
	log := "user: " + user + "\n"
	for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY", "workspace", "home", "runner-temp"} {
		log += name + ": " + what + "\n"
	}
	return log + "tmp: written\nevent: read\n"
}

// wantFilesWritten fails the test unless the runner reads all that the program
// files wrote.
func wantFilesWritten(t *testing.T, f *suite.Fixture, image, user string) {
	t.Helper()
	result := f.Play(t, runner.Step{Image: image}, nil)
	outcome.OwnLog(t, result, filesLog(user, "written"))
	got := runner.Report{Outputs: result.Outputs, Env: result.Env, Path: result.Path, State: result.State, Summary: result.Summary}
	want := runner.Report{
		Outputs: map[string]string{"plain": "value", "many": "first\nsecond = third"},
		Env:     map[string]string{"FROM_ACTION": "ä ö"},
		Path:    []string{"/opt/one", "/opt/two"},
		State:   map[string]string{"kept": "for later"},
		Summary: "# Title\n\ntext\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file commands (-want +got):\n%s", diff)
	}
}

// TestSecretIsGone ends steps in several ways and looks for their Secrets the
// moment that the hook has ended.
func TestSecretIsGone(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "secret", nil)
	image := f.Busybox()
	tests := []struct {
		name string
		step runner.Step
	}{
		{"success", sample.Shell(image, "exit 0")},
		{"failure", sample.Shell(image, "exit 3")},
		{"not started", runner.Step{Image: image, EntryPoint: "/not-there"}},
		{"no such image", runner.Step{Image: f.Registry + "/no/such:image"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.Play(t, tt.step, nil)
			left, err := f.Kube.CoreV1().Secrets(f.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "kiln.build/request"})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range left.Items {
				t.Errorf("the Secret %s is still there", s.Name)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		step := sample.Shell(image, "echo working; exec sleep 600")
		step.Interrupt = runner.Cancel("working")
		if result := f.Play(t, step, nil); result.ExitCode != 130 {
			t.Errorf("exit code = %d, want 130:\n%s", result.ExitCode, outcome.Tail(result.Log))
		}
		f.WantNothingLeft(t)
	})
}
