package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Script is a step of a job with a container: ScriptStepArgs in the runner's
// HookInput.cs. Every run: is one, and every stage of a JavaScript action.
type Script struct {
	// EntryPoint is the program, looked up in the job container: the step's
	// shell, or a Node.js below /__e.
	EntryPoint string `json:"entryPoint"`
	// EntryPointArgs is the line of arguments, cut at every space.
	EntryPointArgs []string `json:"entryPointArgs"`
	// EnvironmentVariables is the step's environment with container paths in it.
	EnvironmentVariables Environment `json:"environmentVariables"`
	// PrependPath are the directories that earlier steps put before PATH, the
	// newest first.
	PrependPath Paths `json:"prependPath"`
	// WorkingDirectory is a path in the container.
	WorkingDirectory string `json:"workingDirectory"`
}

// Paths is a list of directories. Runners before 2.294 wrote it as one string.
type Paths []string

// UnmarshalJSON reads a list of strings or one string.
func (p *Paths) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*p = nil
		if one != "" {
			*p = strings.Split(one, ":")
		}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return explain("prependPath.", err)
	}
	*p = list
	return nil
}

// Script decodes and validates the arguments of run_script_step.
//
// It is an error when the command is another one, when an argument has the
// wrong JSON type, when there are more values than any step has, and when the
// step names no program or holds a NUL byte.
func (in Input) Script() (Script, error) {
	s, err := decode[Script](in, RunScriptStep, "step")
	if err != nil {
		return Script{}, err
	}
	if err := s.validate(); err != nil {
		return Script{}, fmt.Errorf("read step: %w", err)
	}
	return s, nil
}

// validate reports what no process can be started with.
func (s Script) validate() error {
	if s.EntryPoint == "" {
		return errors.New(`field "entryPoint" is missing or empty`)
	}
	for _, field := range []struct {
		name   string
		values []string
	}{
		{"entryPoint", []string{s.EntryPoint}},
		{"entryPointArgs", s.EntryPointArgs},
		{"prependPath", s.PrependPath},
		{"workingDirectory", []string{s.WorkingDirectory}},
	} {
		if slices.ContainsFunc(field.values, hasNUL) {
			return fmt.Errorf("field %q holds a NUL byte, which a process cannot be given", field.name)
		}
	}
	return s.EnvironmentVariables.validate()
}

// Argv is the program and its arguments; see [SplitArgs].
func (s Script) Argv() []string {
	return append([]string{s.EntryPoint}, SplitArgs(s.EntryPointArgs)...)
}

// Env lists the environment as NAME=VALUE, in the order of the names. A name
// that no process can have is left out: an empty one, or one with an equals sign.
func (s Script) Env() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.EnvironmentVariables)) {
		if name != "" && !strings.Contains(name, "=") {
			list = append(list, name+"="+s.EnvironmentVariables[name])
		}
	}
	return list
}

// String names the program and counts the rest: arguments and environment may
// be secret.
func (s Script) String() string {
	return fmt.Sprintf("program %q (%d argument fragments, %v)", s.EntryPoint, len(s.EntryPointArgs), s.EnvironmentVariables)
}

// GoString is String, so that %#v shows no secret either.
func (s Script) GoString() string { return s.String() }
