package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
)

// Commands of a hook, beside run_container_step.
const (
	PrepareJob    = "prepare_job"
	RunScriptStep = "run_script_step"
	CleanupJob    = "cleanup_job"
)

// JobStarted is the command of a step that is no call of a hook: it runs the script of
// the job's start, once the actions are downloaded. The script gets no input
// (JobHookProvider.cs).
const JobStarted = "job_started"

// DefaultExternals is where the runner's image has its externals.
const DefaultExternals = "/home/runner/externals"

// A Job is what a workflow says of a job with containers.
type Job struct {
	// Container is the job's own; nil for a job that has services alone.
	Container *Container `json:"container,omitempty"`
	Services  []Service  `json:"services,omitempty"`
	// Externals is the directory of the runner's externals; empty means
	// [DefaultExternals].
	Externals string `json:"externals,omitempty"`
}

// A Container is container: of a job.
type Container struct {
	Image   string            `json:"image"`
	Options string            `json:"options,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	Volumes []string          `json:"volumes,omitempty"` // source:target, or target alone
	Ports   []string          `json:"ports,omitempty"`
	// User and Password are its credentials; without a user it has none.
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
}

// A Service is an entry of services:.
type Service struct {
	Container
	EntryPoint string   `json:"entryPoint,omitempty"`
	Command    []string `json:"command,omitempty"`
}

// A Script is a step in the job container: run:, or a stage of a JavaScript
// action.
type Script struct {
	// Text is the script, which the worker writes to a file.
	Text string `json:"text,omitempty"`
	// Shell is shell:, such as bash or "perl {0}"; empty is the default of a
	// job with a container.
	Shell string `json:"shell,omitempty"`
	// Node is the version of Node.js and Main the script of a JavaScript
	// action, below the work folder; Text is not for those.
	Node string `json:"node,omitempty"`
	Main string `json:"main,omitempty"`
	// Dir is the working directory, a container path or one relative to the
	// workspace; empty is the workspace.
	Dir string `json:"dir,omitempty"`
	// Prepend is what earlier steps put before PATH, the newest first.
	Prepend []string `json:"prepend,omitempty"`
}

// jobMounts are those of a job container (ContainerOperationProvider.cs).
func (w WorkFolder) jobMounts(s Step) []mount {
	externals := s.externals()
	return []mount{
		{SourceVolumePath: "/var/run/docker.sock", TargetVolumePath: "/var/run/docker.sock"},
		{SourceVolumePath: string(w), TargetVolumePath: "/__w"},
		{SourceVolumePath: externals, TargetVolumePath: "/__e", ReadOnly: true},
		{SourceVolumePath: w.path(tempDir), TargetVolumePath: "/__w/_temp"},
		{SourceVolumePath: w.path(actionsDir), TargetVolumePath: "/__w/_actions"},
		{SourceVolumePath: w.path(toolDir), TargetVolumePath: "/__w/_tool"},
		{SourceVolumePath: w.path(homeDir), TargetVolumePath: "/github/home"},
		{SourceVolumePath: w.path(workflowDir), TargetVolumePath: "/github/workflow"},
	}
}

func (s Step) externals() string {
	if s.Job != nil && s.Job.Externals != "" {
		return s.Job.Externals
	}
	return DefaultExternals
}

// jobArgs are those of prepare_job.
type jobArgs struct {
	Container *jobContainer  `json:"container"`
	Services  []jobContainer `json:"services"`
}

// jobContainer is a container of a job in the message.
type jobContainer struct {
	Image                string            `json:"image"`
	Dockerfile           *string           `json:"dockerfile"`
	EntryPointArgs       []string          `json:"entryPointArgs"`
	EntryPoint           *string           `json:"entryPoint"`
	WorkingDirectory     *string           `json:"workingDirectory"`
	CreateOptions        *string           `json:"createOptions"`
	Registry             *registry         `json:"registry"`
	EnvironmentVariables map[string]string `json:"environmentVariables"`
	PortMappings         []string          `json:"portMappings"`
	SystemMountVolumes   []mount           `json:"systemMountVolumes"`
	UserMountVolumes     []mount           `json:"userMountVolumes"`
}

type registry struct {
	Username  string `json:"username"`
	Password  string `json:"password"`
	ServerURL string `json:"serverUrl"`
}

func (w WorkFolder) jobArgs(s Step) jobArgs {
	args := jobArgs{Services: []jobContainer{}}
	if s.Job == nil {
		return args
	}
	if c := s.Job.Container; c != nil {
		own := newJobContainer(*c)
		dir := "/__w/" + workspaceDir(s)
		own.WorkingDirectory, own.SystemMountVolumes = &dir, w.jobMounts(s)
		own.EnvironmentVariables["HOME"] = "/github/home"
		args.Container = &own
	}
	for _, service := range s.Job.Services {
		one := newJobContainer(service.Container)
		if service.EntryPoint != "" {
			one.EntryPoint = &service.EntryPoint
		}
		one.EntryPointArgs = fragments(service.Command)
		args.Services = append(args.Services, one)
	}
	return args
}

func newJobContainer(c Container) jobContainer {
	out := jobContainer{
		Image: c.Image, EntryPointArgs: []string{}, EnvironmentVariables: map[string]string{}, PortMappings: c.Ports,
		SystemMountVolumes: []mount{}, UserMountVolumes: []mount{},
	}
	maps.Copy(out.EnvironmentVariables, c.Env)
	if out.PortMappings == nil {
		out.PortMappings = []string{}
	}
	if c.Options != "" {
		out.CreateOptions = &c.Options
	}
	if c.User != "" {
		server, _, _ := strings.Cut(c.Image, "/")
		out.Registry = &registry{c.User, c.Password, server}
	}
	for _, volume := range c.Volumes {
		out.UserMountVolumes = append(out.UserMountVolumes, userMount(volume))
	}
	return out
}

// userMount reads an entry of volumes: (ContainerInfo.cs).
func userMount(volume string) mount {
	rest, readOnly := strings.CutSuffix(volume, ":ro")
	source, target, both := strings.Cut(rest, ":")
	if !both {
		source, target = "", rest
	}
	return mount{UserProvidedValue: &volume, SourceVolumePath: source, TargetVolumePath: target, ReadOnly: readOnly}
}

// scriptArgs are those of run_script_step.
type scriptArgs struct {
	EntryPointArgs       []string          `json:"entryPointArgs"`
	EntryPoint           string            `json:"entryPoint"`
	EnvironmentVariables map[string]string `json:"environmentVariables"`
	PrependPath          []string          `json:"prependPath"`
	WorkingDirectory     string            `json:"workingDirectory"`
}

func (w WorkFolder) scriptArgs(s Step) scriptArgs {
	script, mounts := *s.Script, w.jobMounts(s)
	program, arguments, _ := strings.Cut(script.commandLine("/__w/"+scriptFile(s)), " ")
	args := scriptArgs{
		EntryPoint: program, EntryPointArgs: strings.Split(arguments, " "), PrependPath: script.Prepend,
		WorkingDirectory: script.Dir, EnvironmentVariables: map[string]string{},
	}
	if args.PrependPath == nil {
		args.PrependPath = []string{}
	}
	if !path.IsAbs(script.Dir) {
		args.WorkingDirectory = "/__w/" + workspaceDir(s)
		if script.Dir != "" {
			args.WorkingDirectory += "/" + script.Dir
		}
	}
	maps.Copy(args.EnvironmentVariables, s.Env)
	maps.Copy(args.EnvironmentVariables, w.context(s))
	for name, prefix := range fileCommandPrefixes() {
		args.EnvironmentVariables[name] = w.path(fileCommand(prefix, s))
	}
	for name, value := range args.EnvironmentVariables {
		args.EnvironmentVariables[name] = containerPath(value, mounts)
	}
	return args
}

// commandLine is what the worker makes of a shell and a script's path
// (ScriptHandlerHelpers.cs), or of a JavaScript action.
func (s Script) commandLine(file string) string {
	switch {
	case s.Node != "":
		return "/__e/" + s.Node + "/bin/node /__w/" + s.Main
	case s.Shell == "", s.Shell == "sh":
		return "sh -e " + file
	case s.Shell == "bash":
		return "bash --noprofile --norc -e -o pipefail " + file
	case s.Shell == "pwsh":
		return `pwsh -command ". '` + file + `'"`
	case strings.Contains(s.Shell, "{0}"):
		return strings.ReplaceAll(s.Shell, "{0}", file)
	}
	return s.Shell + " " + file
}

// scriptFile is where the worker writes a step's script.
func scriptFile(s Step) string { return tempDir + "/" + s.ID + ".sh" }

// A Response is what the worker takes from a prepare_job (HookResponse.cs).
type Response struct {
	State     json.RawMessage
	Container Place
	Services  []ServiceResponse
}

// A Place is a container as ${{ job.container }} has it.
type Place struct{ ID, Network string }

// A ServiceResponse is a service as ${{ job.services }} has it.
type ServiceResponse struct {
	ID, Network string
	Ports       map[string]string
}

// wireResponse is a response as the hook writes it.
type wireResponse struct {
	State    json.RawMessage `json:"state"`
	IsAlpine *bool           `json:"isAlpine"`
	Context  struct {
		Container Place           `json:"container"`
		Services  json.RawMessage `json:"services"`
	} `json:"context"`
}

// ReadResponse reads the response of a prepare_job as the worker does; what
// makes the worker fail is an error (ContainerHookManager.cs).
func ReadResponse(text string, job Job) (Response, error) {
	var wire *wireResponse
	if err := json.Unmarshal([]byte(text), &wire); err != nil {
		return Response{}, fmt.Errorf("read response %q: %w", text, err)
	}
	switch {
	case wire == nil:
		return Response{}, errors.New("read response: it is null")
	case job.Container != nil && wire.IsAlpine == nil:
		return Response{}, errors.New("read response: isAlpine is missing")
	}
	out := Response{State: wire.State, Container: wire.Context.Container}
	if wire.Context.Services == nil {
		return out, nil
	}
	if err := json.Unmarshal(wire.Context.Services, &out.Services); err != nil {
		return Response{}, fmt.Errorf("read response: %w", err)
	}
	if string(wire.Context.Services) == "null" || len(out.Services) > len(job.Services) {
		return Response{}, fmt.Errorf("read response: services is %s, and the job has %d", wire.Context.Services, len(job.Services))
	}
	for i, service := range out.Services {
		if service.Ports == nil {
			return Response{}, fmt.Errorf("read response: service %d has no ports", i)
		}
	}
	return out, nil
}
