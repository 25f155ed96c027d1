package runner_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/runner"
)

// args are the arguments in the message of a step.
func args(t *testing.T, work runner.WorkFolder, s runner.Step) map[string]any {
	t.Helper()
	data, err := work.Message(s)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Args  map[string]any
		State any
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if m.State == nil && s.State != nil {
		t.Errorf("%s has no state", data)
	}
	return m.Args
}

func TestPrepareMessage(t *testing.T) {
	s := runner.Step{ID: "1", Repository: "acme/app", Command: runner.PrepareJob, Job: &runner.Job{
		Container: &runner.Container{Image: "registry.example.com/debian:12", Options: "--cpus 1", User: "u", Password: "p", Volumes: []string{"data:/data:ro", "/cache"}},
		Services:  []runner.Service{{Container: runner.Container{Image: "redis", Ports: []string{"6379"}}, Command: []string{"redis-server", "--port", "1"}}},
	}}
	got := args(t, "/w/_work", s)
	container, _ := got["container"].(map[string]any)
	mounts, _ := container["systemMountVolumes"].([]any)
	delete(container, "systemMountVolumes")
	want := map[string]any{
		"image": "registry.example.com/debian:12", "dockerfile": nil, "entryPoint": nil, "entryPointArgs": []any{},
		"workingDirectory": "/__w/app/app", "createOptions": "--cpus 1", "portMappings": []any{},
		"environmentVariables": map[string]any{"HOME": "/github/home"},
		"registry":             map[string]any{"username": "u", "password": "p", "serverUrl": "registry.example.com"},
		"userMountVolumes": []any{
			map[string]any{"userProvidedValue": "data:/data:ro", "sourceVolumePath": "data", "targetVolumePath": "/data", "readOnly": true},
			map[string]any{"userProvidedValue": "/cache", "sourceVolumePath": "", "targetVolumePath": "/cache", "readOnly": false},
		},
	}
	if diff := cmp.Diff(want, container); diff != "" || len(mounts) != 8 {
		t.Errorf("%d mounts (-want +got):\n%s", len(mounts), diff)
	}
	services, _ := got["services"].([]any)
	service, _ := services[0].(map[string]any)
	if diff := cmp.Diff([]any{`"redis-server"`, `"--port"`, `"1"`}, service["entryPointArgs"]); diff != "" {
		t.Errorf("the service's command (-want +got):\n%s", diff)
	}
}

func TestScriptMessage(t *testing.T) {
	for name, tt := range map[string]struct {
		script     runner.Script
		entryPoint string
		fragments  []any
		dir        string
	}{
		"default": {runner.Script{Text: "x"}, "sh", []any{"-e", "/__w/_temp/7.sh"}, "/__w/app/app"},
		"bash":    {runner.Script{Shell: "bash", Dir: "sub"}, "bash", []any{"--noprofile", "--norc", "-e", "-o", "pipefail", "/__w/_temp/7.sh"}, "/__w/app/app/sub"},
		"custom":  {runner.Script{Shell: "perl -w {0}", Dir: "/opt"}, "perl", []any{"-w", "/__w/_temp/7.sh"}, "/opt"},
		"plain":   {runner.Script{Shell: "python"}, "python", []any{"/__w/_temp/7.sh"}, "/__w/app/app"},
		"node":    {runner.Script{Node: "node24", Main: "_actions/a/b/v1/dist/index.js"}, "/__e/node24/bin/node", []any{"/__w/_actions/a/b/v1/dist/index.js"}, "/__w/app/app"},
	} {
		s := runner.Step{ID: "7", Repository: "acme/app", Command: runner.RunScriptStep, Script: &tt.script, State: json.RawMessage(`{}`)}
		got := args(t, "/w/_work", s)
		env, _ := got["environmentVariables"].(map[string]any)
		if env["GITHUB_WORKSPACE"] != "/__w/app/app" || env["RUNNER_TEMP"] != "/__w/_temp" || env["PATH"] != nil || env["HOME"] != nil {
			t.Errorf("%s: environment %v", name, env)
		}
		delete(got, "environmentVariables")
		want := map[string]any{"entryPoint": tt.entryPoint, "entryPointArgs": tt.fragments, "workingDirectory": tt.dir, "prependPath": []any{}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	work := runner.WorkFolder(t.TempDir())
	if err := work.Prepare(runner.Step{ID: "7", Repository: "acme/app", Script: &runner.Script{Text: "echo"}}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(string(work), "_temp", "7.sh")); err != nil || string(text) != "echo" {
		t.Errorf("the script is %q, %v", text, err)
	}
}

// TestReadResponse has what makes a worker fail.
func TestReadResponse(t *testing.T) {
	with := runner.Job{Container: &runner.Container{}, Services: make([]runner.Service, 1)}
	for text, want := range map[string]string{
		``:     "read response",
		`null`: "it is null",
		`{}`:   "isAlpine is missing",
		`{"isAlpine":false,"context":{"services":null}}`:                                    "services is null",
		`{"isAlpine":false,"context":{"services":[{"id":"a"}]}}`:                            "service 0 has no ports",
		`{"isAlpine":false,"context":{"services":[{"ports":{}},{"ports":{}}]}}`:             "the job has 1",
		`{"isAlpine":false,"state":{"a":1},"context":{"container":{"id":"p/job"}}}`:         "",
		`{"isAlpine":false,"context":{"services":[{"id":"p/a","ports":{"6379":"32768"}}]}}`: "",
	} {
		_, err := runner.ReadResponse(text, with)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := runner.ReadResponse(`{}`, runner.Job{}); err != nil {
		t.Errorf("without a container: %v", err)
	}
}
