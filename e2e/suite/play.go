package suite

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// WorkFolder is the runner's.
const WorkFolder = "/home/runner/_work"

// Play plays a step to its end, with the files below the work folder, and returns what
// came of it. The step is one of acme/app unless it says another repository. A step that
// fails does not fail the test.
func (f *Fixture) Play(t *testing.T, s runner.Step, files harness.Files) *harness.Result {
	t.Helper()
	return f.Start(t.Context(), s, files).Wait(t)
}

// PlayDockerfile plays a step whose Dockerfile, at the step's path, has that text.
func (f *Fixture) PlayDockerfile(t *testing.T, s runner.Step, dockerfile string) *harness.Result {
	t.Helper()
	return f.Play(t, s, harness.Files{s.Dockerfile: {Data: []byte(dockerfile)}})
}

// PlayEdited plays a step whose message is changed on its way: what the stand-in would
// not write itself.
func (f *Fixture) PlayEdited(t *testing.T, s runner.Step, edit func(message, args map[string]any)) *harness.Result {
	t.Helper()
	s.Repository = defaultRepository
	if s.ID == "" {
		s.ID = strings.ToLower(strings.Map(alphanumeric, t.Name()))
	}
	data, err := runner.WorkFolder(WorkFolder).Message(s)
	if err != nil {
		t.Fatal(err)
	}
	message := map[string]any{}
	if err := json.Unmarshal(data, &message); err != nil {
		t.Fatal(err)
	}
	args, ok := message["args"].(map[string]any)
	if !ok {
		t.Fatalf("message has no args: %s", data)
	}
	edit(message, args)
	if s.Raw, err = json.Marshal(message); err != nil {
		t.Fatal(err)
	}
	s.Raw = append(s.Raw, '\n')
	return f.Play(t, s, nil)
}

func alphanumeric(r rune) rune {
	if r < '0' || r > 'z' || r > '9' && r < 'A' || r > 'Z' && r < 'a' {
		return '-'
	}
	return r
}

// Use plays all stages of the action in a directory, as [Fixture.Stages] does, and ends
// the test on an error. An empty use is acme/NAME@v1, by the directory's name.
func (f *Fixture) Use(t *testing.T, dir string, u harness.Use, more harness.Files) []*harness.Result {
	t.Helper()
	results, err := f.Stages(t.Context(), dir, u, more)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// Stages plays all stages of an action, one after the other, and carries its state from
// one to the next as the runner does. It stops after one that fails, which is no error.
func (f *Fixture) Stages(ctx context.Context, dir string, u harness.Use, more harness.Files) ([]*harness.Result, error) {
	if u.Uses == "" {
		u.Uses = "acme/" + filepath.Base(dir) + "@v1"
	}
	action, err := harness.ReadAction(dir)
	if err != nil {
		return nil, err
	}
	files, err := action.Files(u)
	if err != nil {
		return nil, err
	}
	maps.Copy(files, more)
	var results []*harness.Result
	state := map[string]string{}
	for _, stage := range action.Stages(u) {
		step := action.Step(stage, u)
		for name, value := range state {
			step.Env["STATE_"+name] = value
		}
		result, err := f.Step(ctx, step, files, nil)
		if err != nil {
			return nil, err
		}
		maps.Copy(state, result.State)
		results = append(results, result)
		if result.ExitCode != 0 {
			break
		}
	}
	return results, nil
}

// Main is the main step of the action in a directory, used as acme/NAME@v1, and the
// action's files.
func Main(t *testing.T, dir string) (runner.Step, harness.Files) {
	t.Helper()
	action, err := harness.ReadAction(dir)
	if err != nil {
		t.Fatal(err)
	}
	u := harness.Use{Uses: "acme/" + filepath.Base(dir) + "@v1"}
	files, err := action.Files(u)
	if err != nil {
		t.Fatal(err)
	}
	return action.Step(harness.Main, u), files
}

// Image packs the programs of e2e/testdata/programs with an image configuration.
func (f *Fixture) Image(t *testing.T, config v1.Config) string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"show", "files", "mounts", "meet"} {
		files[name] = filepath.Join(f.Root, "e2e", "testdata", "programs", name)
	}
	files["other"] = files["show"]
	image, err := f.PackImage(t.Context(), config, files)
	if err != nil {
		t.Fatal(err)
	}
	return image
}
