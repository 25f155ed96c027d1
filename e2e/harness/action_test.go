package harness

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/runner"
)

const actionYAML = `
inputs:
  count: {default: 3}
  the name: {required: true}
runs:
  using: docker
  image: docker/alpine.Dockerfile
  pre-entrypoint: /pre.sh
  entrypoint: /main.sh
  post-entrypoint: /post.sh
  args: ["--n=${{ inputs.count }}", "${{inputs.missing}}"]
  env: {MODE: "m${{ inputs.count }}", OWN: action}
`

func writeAction(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestActionStep(t *testing.T) {
	a, err := ReadAction(writeAction(t, map[string]string{"action.yml": actionYAML}))
	if err != nil {
		t.Fatal(err)
	}
	u := Use{Uses: "acme/x@releases/v1", With: map[string]string{"the name": "Mona"}, Env: map[string]string{"OWN": "step"}}
	got := a.Step(Post, u)
	want := runner.Step{
		Repository: "acme/app",
		Dockerfile: "_actions/acme/x/releases/v1/docker/alpine.Dockerfile",
		EntryPoint: "/post.sh",
		Args:       []string{"--n=3", ""},
		Env:        map[string]string{"MODE": "m3", "OWN": "step", "INPUT_COUNT": "3", "INPUT_THE_NAME": "Mona"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("step (-want +got):\n%s", diff)
	}
	if got := a.Stages(u); !slices.Equal(got, []Stage{Pre, Main, Post}) {
		t.Errorf("stages = %v", got)
	}
	u.Uses = "./tools/x"
	if got := a.Stages(u); !slices.Equal(got, []Stage{Main, Post}) {
		t.Errorf("stages of a local action = %v", got)
	}
}

func TestActionFiles(t *testing.T) {
	a, err := ReadAction(writeAction(t, map[string]string{"Dockerfile": "FROM scratch\n", "src/a.c": "int a;\n"}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Files(Use{Uses: "./x"})
	if err != nil {
		t.Fatal(err)
	}
	want := Files{
		"app/app/x/Dockerfile": {Data: []byte("FROM scratch\n"), Mode: 0o644},
		"app/app/x/src/a.c":    {Data: []byte("int a;\n"), Mode: 0o644},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := ReadAction(t.TempDir()); err == nil {
		t.Error("a directory without a Dockerfile was taken for an action")
	}
}

// Every example has to be readable as the tests and the demo read it.
func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob("../../examples/actions/*/action.yml")
	if err != nil || len(dirs) < 3 {
		t.Fatalf("found %d examples, %v; want at least 3", len(dirs), err)
	}
	for _, file := range dirs {
		if _, err := ReadAction(filepath.Dir(file)); err != nil {
			t.Error(err)
		}
	}
}
