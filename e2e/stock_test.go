//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// testStock plays what the stock hook's own tests ask of a container step, with
// their way of quoting: the script is one argument in single quotes, cut at its
// spaces.
func testStock(t *testing.T, f *suite.Fixture) {
	tests := []struct {
		name      string
		fragments []any
		env       map[string]string
	}{
		{"exit code 0", []any{"-c", "'echo", "done'"}, nil},
		{"NODE_ENV", []any{"-c", `'if [[ -z $NODE_ENV ]]; then exit 1; fi'`}, map[string]string{"NODE_ENV": "development"}},
		{"CI and GITHUB_ACTIONS", []any{"-c", `'if [[ -z $GITHUB_ACTIONS ]] || [[ -z $CI ]]; then exit 1; fi'`}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantStockStep(t, f, tt.fragments, tt.env, 0)
		})
	}
	t.Run("a variable that is not set", func(t *testing.T) {
		t.Parallel()
		wantStockStep(t, f, tests[1].fragments, nil, 1)
	})
	t.Run("a mount outside the work folder", func(t *testing.T) { t.Parallel(); testOutside(t, f) })
}

// wantStockStep plays a step as it is in a job with a container, whose state
// kiln does not touch.
func wantStockStep(t *testing.T, f *suite.Fixture, fragments []any, env map[string]string, code int) {
	t.Helper()
	step := runner.Step{Image: f.Busybox(), EntryPoint: "sh", Env: env}
	result := f.PlayEdited(t, step, func(message, args map[string]any) {
		message["state"] = map[string]string{"jobPod": "runner-workflow"}
		args["entryPointArgs"] = fragments
	})
	if result.ExitCode != code || result.Response != "" {
		t.Errorf("exit code = %d, response %q; want %d and none:\n%s", result.ExitCode, result.Response, code, outcome.Tail(result.Log))
	}
}

// testOutside has a mount in the message that the runner never sends, as in the
// examples of the stock hook: the action goes without it, and only who debugs is
// told.
func testOutside(t *testing.T, f *suite.Fixture) {
	step := sample.Shell(f.Busybox(), "test -d /__w && test ! -e /__e && echo runs")
	step.HookEnv = map[string]string{"RUNNER_DEBUG": "1"}
	result := f.PlayEdited(t, step, func(_, args map[string]any) {
		mounts, _ := args["systemMountVolumes"].([]any)
		args["systemMountVolumes"] = append(mounts, map[string]any{
			"sourceVolumePath": "/home/runner/externals", "targetVolumePath": "/__e", "readOnly": true,
		})
	})
	outcome.OwnLog(t, result, "runs\n")
	const told = `kiln: not mounted, since it does not lie below the work folder /home/runner/_work: "/home/runner/externals" at "/__e"` + "\n"
	if n := strings.Count(result.Log, told); n != 1 {
		t.Errorf("the log tells %d times of the mount, want once:\n%s", n, outcome.Tail(result.Log))
	}
}

// extension is a hook extension as operators of the stock hook have one. Its
// sidecar outlives the action.
const extension = `
metadata:
  annotations:
    annotated-by: extension
  labels:
    labeled-by: extension
    runner-pod: runner
spec:
  securityContext:
    runAsUser: 1001
    runAsGroup: 1001
    fsGroup: 1001
  containers:
    - name: $job
      command: [sh]
      args: [-c, exit 9]
      workingDir: /elsewhere
      env:
        - name: ENV1
          value: value1
        - name: HOME
          value: /root
      resources:
        requests:
          cpu: 10m
    - name: side-container
      image: docker.io/library/busybox
      command: [sh, -c, trap exit TERM; sleep 3600 & wait]
`

// TestExtension runs steps with a hook extension.
func TestExtension(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "template", func(_ suite.Stage, o *harness.PodOptions) { o.HookTemplate = extension })
	t.Run("merged", func(t *testing.T) {
		result := f.Play(t, sample.Shell(f.Busybox(), "echo $ENV1 $HOME $PWD $(id -u)"), nil)
		outcome.OwnLog(t, result, "value1 /github/home /github/workspace 1001\n")
		wantExtended(t, f)
	})
	t.Run("exit code beside a sidecar", func(t *testing.T) {
		if result := f.Play(t, sample.Shell(f.Busybox(), "exit 3"), nil); result.ExitCode != 3 {
			t.Errorf("exit code = %d, want 3:\n%s", result.ExitCode, outcome.Tail(result.Log))
		}
	})
	// The operator's way out for images whose user may not write.
	t.Run("user of the operator", func(t *testing.T) {
		wantFilesWritten(t, f, f.Image(t, v1.Config{Entrypoint: []string{"/files"}, User: "65534:65534"}), "1001")
	})
	t.Run("nothing is left", f.WantNothingLeft)
}

// wantExtended looks at the pod that was seen.
func wantExtended(t *testing.T, f *suite.Fixture) {
	pods := f.Seen.With("job")
	if len(pods) != 1 {
		t.Fatalf("saw %d action pods, want 1", len(pods))
	}
	pod := pods[0]
	if pod.Annotations["annotated-by"] != "extension" || pod.Labels["labeled-by"] != "extension" || pod.Labels["runner-pod"] != "" {
		t.Errorf("annotations = %v, labels = %v", pod.Annotations, pod.Labels)
	}
	if !harness.HasContainer(pod, "side-container") {
		t.Error("the pod has no side-container")
	}
	job := harness.Container(pod, "job")
	if job.Resources.Requests.Cpu().String() != "10m" || job.WorkingDir != "/github/workspace" {
		t.Errorf("container job = %+v", job)
	}
	if sc := pod.Spec.SecurityContext; sc == nil || sc.RunAsUser == nil || *sc.RunAsUser != 1001 {
		t.Errorf("security context = %+v", sc)
	}
}
