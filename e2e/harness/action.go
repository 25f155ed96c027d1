package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"kiln/e2e/runner"
)

// A Stage is one of the up to three steps that a container action makes.
type Stage int

// The stages in the order in which they run.
const (
	Pre Stage = iota
	Main
	Post
)

// A Use is what a workflow says about an action: "uses", "with" and "env".
type Use struct {
	// Uses is owner/repository@ref, or ./path for an action of the workflow's
	// own repository.
	Uses string
	// Repository is the workflow's own, owner/name; empty means acme/app.
	Repository string
	With, Env  map[string]string
}

// An Action is a container action on this machine's disk.
type Action struct {
	dir  string
	meta metadata
}

type metadata struct {
	Inputs map[string]struct {
		Default any `json:"default"`
	} `json:"inputs"`
	Runs struct {
		Image          string            `json:"image"`
		EntryPoint     string            `json:"entrypoint"`
		PreEntryPoint  string            `json:"pre-entrypoint"`
		PostEntryPoint string            `json:"post-entrypoint"`
		Args           []string          `json:"args"`
		Env            map[string]string `json:"env"`
	} `json:"runs"`
}

// ReadAction reads an action's action.yml. A directory without one is an
// action if it holds a Dockerfile, as for the runner.
func ReadAction(dir string) (*Action, error) {
	a := &Action{dir: dir}
	data, err := os.ReadFile(filepath.Join(dir, "action.yml"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "Dockerfile")); err != nil {
			return nil, fmt.Errorf("read action %s: neither action.yml nor Dockerfile", dir)
		}
		a.meta.Runs.Image = "Dockerfile"
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read action: %w", err)
	}
	if err := yaml.Unmarshal(data, &a.meta); err != nil {
		return nil, fmt.Errorf("read action %s: %w", dir, err)
	}
	return a, nil
}

// Stages are the stages that the action has for that use: the runner ignores
// the pre-entrypoint of a local action.
func (a *Action) Stages(u Use) []Stage {
	var stages []Stage
	if a.meta.Runs.PreEntryPoint != "" && !u.local() {
		stages = append(stages, Pre)
	}
	stages = append(stages, Main)
	if a.meta.Runs.PostEntryPoint != "" {
		stages = append(stages, Post)
	}
	return stages
}

// Step is the step that the runner makes of one stage. Inputs are the only
// expressions that it evaluates.
func (a *Action) Step(stage Stage, u Use) runner.Step {
	inputs := a.inputs(u)
	s := runner.Step{Repository: u.repository(), Env: map[string]string{}}
	for name, value := range a.meta.Runs.Env {
		s.Env[name] = evaluate(value, inputs)
	}
	maps.Copy(s.Env, u.Env)
	for name, value := range inputs {
		s.Env["INPUT_"+strings.ToUpper(strings.ReplaceAll(name, " ", "_"))] = value
	}
	for _, arg := range a.meta.Runs.Args {
		s.Args = append(s.Args, evaluate(arg, inputs))
	}
	switch stage {
	case Pre:
		s.EntryPoint = a.meta.Runs.PreEntryPoint
	case Post:
		s.EntryPoint = a.meta.Runs.PostEntryPoint
	default:
		s.EntryPoint = a.meta.Runs.EntryPoint
	}
	if image, ok := strings.CutPrefix(a.meta.Runs.Image, "docker://"); ok {
		s.Image = image
	} else {
		s.Dockerfile = u.dir() + "/" + a.meta.Runs.Image
	}
	return s
}

// Files are the action's files where the runner would have put them.
func (a *Action) Files(u Use) (Files, error) {
	files := Files{}
	err := fs.WalkDir(os.DirFS(a.dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(a.dir, name))
		files[path.Join(u.dir(), name)] = File{Data: data, Mode: info.Mode()}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read action: %w", err)
	}
	return files, nil
}

func (a *Action) inputs(u Use) map[string]string {
	inputs := map[string]string{}
	for name, input := range a.meta.Inputs {
		if input.Default != nil {
			inputs[name] = fmt.Sprint(input.Default)
		} else {
			inputs[name] = ""
		}
	}
	maps.Copy(inputs, u.With)
	return inputs
}

// evaluate replaces ${{ inputs.NAME }}.
func evaluate(text string, inputs map[string]string) string {
	return regexp.MustCompile(`\$\{\{\s*inputs\.([\w-]+)\s*\}\}`).ReplaceAllStringFunc(text, func(match string) string {
		name := strings.TrimSpace(strings.Trim(match, "${}"))
		return inputs[strings.TrimPrefix(name, "inputs.")]
	})
}

func (u Use) local() bool { return strings.HasPrefix(u.Uses, "./") }

func (u Use) repository() string {
	if u.Repository == "" {
		return "acme/app"
	}
	return u.Repository
}

func (u Use) dir() string {
	if u.local() {
		return runner.LocalDir(u.repository(), u.Uses)
	}
	return runner.ActionDir(u.Uses)
}
