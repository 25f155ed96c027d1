package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// The message's fields stand in the order in which the worker writes them
// (Container/ContainerHooks/HookInput.cs). A nil pointer is written as null.
type message struct {
	Command      string          `json:"command"`
	ResponseFile string          `json:"responseFile"`
	Args         any             `json:"args"`
	State        json.RawMessage `json:"state"`
}

type container struct {
	Image                *string           `json:"image"`
	Dockerfile           *string           `json:"dockerfile"`
	EntryPointArgs       []string          `json:"entryPointArgs"`
	EntryPoint           *string           `json:"entryPoint"`
	WorkingDirectory     string            `json:"workingDirectory"`
	CreateOptions        *string           `json:"createOptions"`
	Registry             *struct{}         `json:"registry"`
	EnvironmentVariables map[string]string `json:"environmentVariables"`
	PortMappings         []string          `json:"portMappings"`
	SystemMountVolumes   []mount           `json:"systemMountVolumes"`
	UserMountVolumes     []mount           `json:"userMountVolumes"`
}

type mount struct {
	UserProvidedValue *string `json:"userProvidedValue"`
	SourceVolumePath  string  `json:"sourceVolumePath"`
	TargetVolumePath  string  `json:"targetVolumePath"`
	ReadOnly          bool    `json:"readOnly"`
}

// Message returns the line, newline included, that the worker writes to the
// hook's standard input. Raw is returned as it is.
func (w WorkFolder) Message(s Step) ([]byte, error) {
	if s.Raw != nil {
		return s.Raw, nil
	}
	m := message{Command: s.Command, ResponseFile: w.path(responseFile(s)), Args: struct{}{}}
	if m.Command == "" {
		m.Command = "run_container_step"
	}
	m.State = s.State
	switch {
	case m.Command == "run_container_step":
		m.Args = w.container(s)
	case m.Command == PrepareJob:
		m.Args = w.jobArgs(s)
	case m.Command == RunScriptStep && s.Script != nil:
		m.Args = w.scriptArgs(s)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("encode hook message: %w", err)
	}
	return out.Bytes(), nil
}

func (w WorkFolder) container(s Step) container {
	mounts := w.mounts(s)
	c := container{
		EntryPointArgs:       fragments(s.Args),
		WorkingDirectory:     "/github/workspace",
		EnvironmentVariables: w.stepEnv(s, mounts),
		PortMappings:         []string{},
		SystemMountVolumes:   mounts,
		UserMountVolumes:     []mount{},
	}
	if s.EntryPoint != "" {
		c.EntryPoint = &s.EntryPoint
	}
	if s.Dockerfile != "" {
		// Joined by hand: filepath.Join would drop the "/./" of a local action.
		dockerfile := string(w) + "/" + s.Dockerfile
		c.Dockerfile = &dockerfile
	} else if s.Image != "" {
		c.Image = &s.Image
	}
	return c
}

func (w WorkFolder) mounts(s Step) []mount {
	return []mount{
		{SourceVolumePath: "/var/run/docker.sock", TargetVolumePath: "/var/run/docker.sock"},
		{SourceVolumePath: w.path(tempDir), TargetVolumePath: "/github/runner_temp"},
		{SourceVolumePath: w.path(homeDir), TargetVolumePath: "/github/home"},
		{SourceVolumePath: w.path(workflowDir), TargetVolumePath: "/github/workflow"},
		{SourceVolumePath: w.path(fileCommandsDir), TargetVolumePath: "/github/file_commands"},
		{SourceVolumePath: w.path(workspaceDir(s)), TargetVolumePath: "/github/workspace"},
	}
}

// stepEnv is the container's environment: the step's own, then what the worker
// adds, with host paths rewritten to the container's.
func (w WorkFolder) stepEnv(s Step, mounts []mount) map[string]string {
	env := map[string]string{}
	maps.Copy(env, s.Env)
	maps.Copy(env, w.context(s))
	for name, prefix := range fileCommandPrefixes() {
		env[name] = w.path(fileCommand(prefix, s))
	}
	env["HOME"] = "/github/home"
	env["ACTIONS_RUNTIME_URL"] = "https://runtime.invalid/"
	env["ACTIONS_RUNTIME_TOKEN"] = "runtime-token-of-the-job"
	for name, value := range env {
		// The worker leaves these two as host paths.
		if name != "RUNNER_TOOL_CACHE" && name != "RUNNER_WORKSPACE" {
			env[name] = containerPath(value, mounts)
		}
	}
	return env
}

// context holds the GITHUB_ and RUNNER_ variables with host paths, which both
// the hook's process and, translated, the container get.
func (w WorkFolder) context(s Step) map[string]string {
	return map[string]string{
		"GITHUB_ACTION":      "step-" + s.ID,
		"GITHUB_ACTOR":       "mona",
		"GITHUB_EVENT_NAME":  "push",
		"GITHUB_EVENT_PATH":  w.path(workflowDir) + "/event.json",
		"GITHUB_JOB":         "build",
		"GITHUB_REF":         "refs/heads/main",
		"GITHUB_REPOSITORY":  s.Repository,
		"GITHUB_RUN_ATTEMPT": "1",
		"GITHUB_RUN_ID":      "1001",
		"GITHUB_SERVER_URL":  "https://github.invalid",
		"GITHUB_SHA":         strings.Repeat("a", 40),
		"GITHUB_WORKFLOW":    "ci",
		"GITHUB_WORKSPACE":   w.path(workspaceDir(s)),
		"RUNNER_ARCH":        "X64",
		"RUNNER_ENVIRONMENT": "self-hosted",
		"RUNNER_NAME":        "stand-in",
		"RUNNER_OS":          "Linux",
		"RUNNER_TEMP":        w.path(tempDir),
		"RUNNER_TOOL_CACHE":  w.path(toolDir),
		"RUNNER_WORKSPACE":   w.path(repositoryName(s)),
	}
}

// containerPath rewrites a value that is a mounted host path or begins with
// one. The longest host path wins: _temp is mounted, and so are folders in it.
func containerPath(value string, mounts []mount) string {
	best := mount{}
	for _, m := range mounts {
		if len(m.SourceVolumePath) > len(best.SourceVolumePath) &&
			(value == m.SourceVolumePath || strings.HasPrefix(value, m.SourceVolumePath+"/")) {
			best = m
		}
	}
	if best.SourceVolumePath == "" {
		return value
	}
	return best.TargetVolumePath + strings.TrimPrefix(value, best.SourceVolumePath)
}

// fragments is what becomes of an argument list on its way into the message:
// each argument quoted, all joined by spaces, then split at every space
// (HookInput.cs), which is lossy in the ways the hook has to live with.
func fragments(args []string) []string {
	quoted := make([]string, 0, len(args))
	for _, a := range args {
		quoted = append(quoted, `"`+strings.ReplaceAll(a, `"`, `\"`)+`"`)
	}
	out := []string{}
	for f := range strings.SplitSeq(strings.Join(quoted, " "), " ") {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}
