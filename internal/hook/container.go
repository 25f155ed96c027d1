package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Container is the step of run_container_step: HookContainer in the runner's
// HookInput.cs, filled by ContainerActionHandler.cs. Field names in JSON are
// the runner's, so a marshalled Container reads back equal.
//
// The runner's field registry (user name and password) is left out: the
// runner never sets it for a step, and kiln takes credentials from the
// operator alone.
type Container struct {
	// Image is the reference behind docker:// in uses: or runs.image, and
	// empty when Dockerfile is set. It may lack a tag.
	Image string `json:"image,omitempty"`
	// Dockerfile is the absolute host path made of the action's directory
	// and runs.image. It is not normalised: it may hold /./ and /../, and
	// spaces. Empty when Image is set.
	Dockerfile string `json:"dockerfile,omitempty"`
	// EntryPointArgs is runs.args or with.args, joined into one line by the
	// runner and cut again at every space. Only [SplitArgs] makes an
	// argument list of it.
	EntryPointArgs []string `json:"entryPointArgs,omitempty"`
	// EntryPoint is runs.entrypoint (or the pre and post ones), else
	// with.entryPoint: one executable, never a command line. Empty means the
	// image's own.
	EntryPoint string `json:"entryPoint,omitempty"`
	// WorkingDirectory is the container path to start in; the runner sends
	// /github/workspace for every step.
	WorkingDirectory string `json:"workingDirectory,omitempty"`
	// CreateOptions is container.options of the workflow. The runner sets it
	// for job containers and services only.
	CreateOptions string `json:"createOptions,omitempty"`
	// EnvironmentVariables is the step's environment with container paths
	// in it, without PATH, GITHUB_ACTIONS and CI; see [StepEnv].
	EnvironmentVariables Environment `json:"environmentVariables,omitempty"`
	// PortMappings is container.ports of the workflow. The runner sets it for
	// job containers and services only.
	PortMappings []string `json:"portMappings,omitempty"`
	// SystemMountVolumes are the mounts that the runner itself wants: the
	// workspace, home, event and file command directories below the work
	// folder, and Docker's socket.
	SystemMountVolumes []Mount `json:"systemMountVolumes,omitempty"`
	// UserMountVolumes is container.volumes of the workflow. The runner sets
	// it for job containers and services only.
	UserMountVolumes []Mount `json:"userMountVolumes,omitempty"`
}

// Mount is one volume of a container: MountVolume in the runner's
// ContainerInfo.cs.
type Mount struct {
	// UserProvidedValue is the text of the workflow, empty for the runner's
	// own mounts.
	UserProvidedValue string `json:"userProvidedValue,omitempty"`
	// SourceVolumePath is a host path, or the name of a volume.
	SourceVolumePath string `json:"sourceVolumePath,omitempty"`
	// TargetVolumePath is the path in the container.
	TargetVolumePath string `json:"targetVolumePath,omitempty"`
	// ReadOnly is true when the container may not write to it.
	ReadOnly bool `json:"readOnly,omitempty"`
}

// Environment is a set of environment variables by name. Its String method
// hides the values.
type Environment map[string]string

// UnmarshalJSON reads an object of strings. A variable whose value is null is
// left out: the runner passes variables to Docker by name alone, and Docker
// leaves out a name that has no value.
func (e *Environment) UnmarshalJSON(data []byte) error {
	var wire map[string]json.RawMessage
	if err := json.Unmarshal(data, &wire); err != nil {
		return explain("environmentVariables.", err)
	}
	if wire == nil {
		*e = nil
		return nil
	}
	out := make(Environment, len(wire))
	for _, name := range slices.Sorted(maps.Keys(wire)) {
		if orNil(wire[name]) == nil {
			continue
		}
		var value string
		if err := json.Unmarshal(wire[name], &value); err != nil {
			return explain("environmentVariables."+name, err)
		}
		out[name] = value
	}
	*e = out
	return nil
}

// String says how many variables there are.
func (e Environment) String() string {
	return fmt.Sprintf("%d environment variables", len(e))
}

// GoString is String, so that %#v shows no secret either.
func (e Environment) GoString() string { return e.String() }

// Container decodes and validates the arguments of run_container_step.
//
// It is an error when the command is another one, when an argument has the
// wrong JSON type, when there are more values than any step has, which is counted
// before they are decoded, and when [Container.Validate] finds fault.
func (in Input) Container() (Container, error) {
	c, err := decode[Container](in, RunContainerStep, "step container")
	if err != nil {
		return Container{}, err
	}
	if err := c.Validate(); err != nil {
		return Container{}, fmt.Errorf("read step container: %w", err)
	}
	return c, nil
}

// Validate reports what no step can run with: anything but exactly one of
// Image and Dockerfile, a NUL byte where the operating system allows none, and
// more than 5,000 environment variables, 10,000 argument fragments or 256
// mounts. It does not judge references, paths or mounts.
func (c Container) Validate() error {
	switch {
	case c.Image == "" && c.Dockerfile == "":
		return errors.New("neither image nor dockerfile is set; runs.image in the action's action.yml must name a Dockerfile or a docker:// image")
	case c.Image != "" && c.Dockerfile != "":
		return fmt.Errorf("both image %q and dockerfile %q are set, and a step has one of them; the runner never sends both, so check what starts this hook", c.Image, c.Dockerfile)
	}
	if err := c.validateCounts(); err != nil {
		return err
	}
	return c.validateNUL()
}

// What a step can hold at most. Each of these costs memory many times its size
// in JSON: it becomes part of a pod.
const (
	maxVariables = 5_000
	maxFragments = 10_000
	maxMounts    = 256
)

// validateCounts names the first field that holds too much.
func (c Container) validateCounts() error {
	for _, field := range []struct {
		name         string
		count, limit int
	}{
		{"environmentVariables", len(c.EnvironmentVariables), maxVariables},
		{"entryPointArgs", len(c.EntryPointArgs), maxFragments},
		{"systemMountVolumes and userMountVolumes", len(c.SystemMountVolumes) + len(c.UserMountVolumes), maxMounts},
	} {
		if field.count > field.limit {
			return fmt.Errorf("field %s holds %d entries, and a step can have at most %d: shorten the step's env, args or volumes in the workflow or the action", field.name, field.count, field.limit)
		}
	}
	return nil
}

// validateNUL names the first field with a NUL byte: JSON can carry one, an
// argument, a path or an environment of a process cannot.
func (c Container) validateNUL() error {
	for _, field := range []struct {
		name   string
		values []string
	}{
		{"image", []string{c.Image}},
		{"dockerfile", []string{c.Dockerfile}},
		{"entryPoint", []string{c.EntryPoint}},
		{"entryPointArgs", c.EntryPointArgs},
		{"workingDirectory", []string{c.WorkingDirectory}},
	} {
		if slices.ContainsFunc(field.values, hasNUL) {
			return fmt.Errorf("field %q holds a NUL byte, which a process cannot be given", field.name)
		}
	}
	return c.EnvironmentVariables.validate()
}

// validate names the first variable with a NUL byte.
func (e Environment) validate() error {
	for _, name := range slices.Sorted(maps.Keys(e)) {
		if hasNUL(name) || hasNUL(e[name]) {
			return fmt.Errorf("environment variable %q holds a NUL byte, which a process cannot be given", name)
		}
	}
	return nil
}

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// String names the image or Dockerfile and counts the rest: arguments and
// environment may be secret.
func (c Container) String() string {
	what := fmt.Sprintf("image %q", c.Image)
	if c.Dockerfile != "" {
		what = fmt.Sprintf("dockerfile %q", c.Dockerfile)
	}
	return fmt.Sprintf("%s (%d argument fragments, %v, %d mounts)",
		what, len(c.EntryPointArgs), c.EnvironmentVariables, len(c.SystemMountVolumes)+len(c.UserMountVolumes))
}

// GoString is String, so that %#v shows no secret either.
func (c Container) GoString() string { return c.String() }

// StepEnv returns the environment of the step's container: the variables that
// the runner sent, GITHUB_ACTIONS=true, and CI=true unless the workflow set CI
// itself. The runner adds these two for Docker and leaves them to a hook
// otherwise. The result is a new map.
func StepEnv(c Container) map[string]string {
	env := make(map[string]string, len(c.EnvironmentVariables)+2)
	maps.Copy(env, c.EnvironmentVariables)
	env["GITHUB_ACTIONS"] = "true"
	if _, set := env["CI"]; !set {
		env["CI"] = "true"
	}
	return env
}
