//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
	"kiln/internal/scaleset"
)

// delegateRoot is a runner's root for the delegate to be in, with a node.
const delegateRoot = "/home/runner/_work/stock"

// delegateFiles are a hook that nothing reads and a node that keeps the
// message and says how it was called. A message with the word slow takes it a
// minute.
func delegateFiles() harness.Files {
	const node = `#!/bin/sh
echo "delegate: $(basename "$0") $*"
cat >` + delegateRoot + `/message-$GITHUB_ACTION
if grep -q slow ` + delegateRoot + `/message-$GITHUB_ACTION; then
	echo taking its time
	exec sleep 60
fi
exit 42
`
	return harness.Files{
		"stock/k8s/index.js":              {},
		"stock/externals/node20/bin/node": {Data: []byte(node), Mode: 0o755},
		"stock/externals/node24/bin/node": {Data: []byte("#!/bin/sh\necho another than of the runner\n"), Mode: 0o755},
	}
}

// TestDelegate has a stub in place of the stock hook and plays what is kiln's
// and what is not.
func TestDelegate(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "delegate", func(_ stage, o *harness.PodOptions) {
		o.Mode, o.Delegate = scaleset.Kubernetes, delegateRoot+"/k8s/index.js"
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
			files = delegateFiles()
		}
		t.Run(tt.name, func(t *testing.T) { f.wantDelegated(t, tt.step, files) })
	}
	t.Run("interrupted", f.wantDelegateInterrupted)
	t.Run("kiln's own", func(t *testing.T) {
		results := f.use(t, f.testdata("exit3"), harness.Use{Uses: "acme/exit3@v1"}, nil)
		wantOwn(t, results[0], 3)
	})
	t.Run("ready image of kiln's", f.wantOwnReadyImage)
	t.Run("nothing is left", f.wantNothingLeft)
}

// wantDelegated fails the test unless the delegate, and nobody else, gets the
// step's message as the runner wrote it, and its exit code is the step's.
func (f *fixture) wantDelegated(t *testing.T, s runner.Step, files harness.Files) {
	s.ID, s.Repository = strings.ReplaceAll(t.Name(), "/", "-"), "acme/app"
	result, err := f.Step(t.Context(), s, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "delegate: node " + delegateRoot + "/k8s/index.js\n"; result.Log != want || result.ExitCode != 42 {
		t.Errorf("exit code %d, log %q; want 42, %q", result.ExitCode, tail(result.Log), want)
	}
	want := string(s.Raw)
	if s.Raw == nil {
		want = string(result.Message) + "\n"
	}
	got, err := f.Run(t.Context(), "cat", delegateRoot+"/message-step-"+s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("the delegate read %d bytes, want the %d of the message:\n%s", len(got), len(want), tail(got))
	}
}

// wantDelegateInterrupted fails the test unless the runner's SIGINT ends the
// delegate itself.
func (f *fixture) wantDelegateInterrupted(t *testing.T) {
	result, err := f.Step(t.Context(), runner.Step{
		Repository: "acme/app", Raw: []byte(`{"command":"run_script_step","args":{"entryPoint":"slow"}}` + "\n"),
		Interrupt: runner.Cancel("taking its time"),
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.Signal != "interrupt" || result.Stopped.Seconds() > 2 {
		t.Errorf("exit code %d, signal %q, %v after SIGINT; want an interrupt at once:\n%s", result.ExitCode, result.Signal, result.Stopped, result.Log)
	}
}

// wantOwn fails the test unless kiln ran the step and passed its code on.
func wantOwn(t *testing.T, result *harness.Result, code int) {
	t.Helper()
	if result.ExitCode != code || strings.Contains(result.Log, "delegate: ") {
		t.Errorf("exit code = %d, want %d and nothing of the delegate:\n%s", result.ExitCode, code, tail(result.Log))
	}
}

// wantOwnReadyImage has a step of a ready image, which is kiln's by default.
func (f *fixture) wantOwnReadyImage(t *testing.T) {
	result, err := f.Step(t.Context(), runner.Step{
		Repository: "acme/app", Image: "busybox", EntryPoint: "/bin/sh", Args: []string{"-c", "echo no build; exit 5"},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantOwn(t, result, 5)
	wantLog(t, result, "no build\n")
}
