//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
	"kiln/internal/scaleset"
)

// TestDelegate has a stub in place of the stock hook and plays what is kiln's
// and what is not.
func TestDelegate(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "delegate", func(_ suite.Stage, o *harness.PodOptions) {
		o.Mode, o.Delegate = scaleset.Kubernetes, suite.DelegateRoot+"/k8s/index.js"
	})
	large := `{"command":"run_script_step","args":{"X":"` + strings.Repeat("x", 3<<20) + "\xff\"}}\n"
	tests := []struct {
		name string
		step runner.Step
	}{
		{"prepare_job", runner.Step{Raw: []byte(`{"command":"prepare_job","args":{"container":{"image":"node:22"},"services":[]},"state":null}` + "\n")}},
		{"run_script_step", runner.Step{Raw: []byte(" {\"command\": \"run_script_step\",\r\n\t\"args\":{\"entryPoint\":\"sh\"},\"state\":{\"jobPod\":\"p\"}}\n\n")}},
		{"large", runner.Step{Raw: []byte(large)}},
		{"cleanup_job", runner.Step{Raw: []byte(`{"command":"cleanup_job","args":{},"state":{"jobPod":"p"}}` + "\n")}},
		{"unknown command", runner.Step{Raw: []byte(`{"command":"reticulate_splines"}` + "\n")}},
		{"ready image", runner.Step{Image: "busybox", HookEnv: map[string]string{"KILN_HANDLE": "dockerfile"}}},
	}
	for i, tt := range tests {
		var files harness.Files
		if i == 0 {
			files = suite.DelegateFiles()
		}
		t.Run(tt.name, func(t *testing.T) { f.WantDelegated(t, tt.step, files) })
	}
	t.Run("interrupted", func(t *testing.T) { wantDelegateInterrupted(t, f) })
	t.Run("kiln's own", func(t *testing.T) {
		results := f.Use(t, f.Testdata("exit3"), harness.Use{Uses: "acme/exit3@v1"}, nil)
		wantOwn(t, results[0], 3)
	})
	t.Run("ready image of kiln's", func(t *testing.T) { wantOwnReadyImage(t, f) })
	t.Run("nothing is left", f.WantNothingLeft)
}

// wantDelegateInterrupted fails the test unless the runner's SIGINT ends the
// delegate itself.
func wantDelegateInterrupted(t *testing.T, f *suite.Fixture) {
	result := f.Play(t, runner.Step{
		Repository: "acme/app", Raw: []byte(`{"command":"run_script_step","args":{"entryPoint":"slow"}}` + "\n"),
		Interrupt: runner.Cancel("taking its time"),
	}, nil)
	if result.Signal != "interrupt" || result.Stopped.Seconds() > 2 {
		t.Errorf("exit code %d, signal %q, %v after SIGINT; want an interrupt at once:\n%s", result.ExitCode, result.Signal, result.Stopped, result.Log)
	}
}

// wantOwn fails the test unless kiln ran the step and passed its code on.
func wantOwn(t *testing.T, result *harness.Result, code int) {
	t.Helper()
	if result.ExitCode != code || strings.Contains(result.Log, "delegate: ") {
		t.Errorf("exit code = %d, want %d and nothing of the delegate:\n%s", result.ExitCode, code, outcome.Tail(result.Log))
	}
}

// wantOwnReadyImage has a step of a ready image, which is kiln's by default.
func wantOwnReadyImage(t *testing.T, f *suite.Fixture) {
	result := f.Play(t, runner.Step{
		Repository: "acme/app", Image: "busybox", EntryPoint: "/bin/sh", Args: []string{"-c", "echo no build; exit 5"},
	}, nil)
	wantOwn(t, result, 5)
	outcome.Log(t, result, "no build\n")
}
