package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Job is what prepare_job asks for: the containers of a job.
type Job struct {
	// Container is what the job's steps run in; nil for a job whose steps run in the
	// runner itself, beside its services.
	Container *JobContainer
	// Services are the job's services, in the order of the workflow.
	Services []JobContainer
}

// JobContainer is one container of a job.
type JobContainer struct {
	// Container is what a step's container has too. Its Dockerfile is empty and its
	// Image never is.
	Container Container
	// Registry is who pulls the image; nil for nobody in particular.
	Registry *Registry
}

// Registry is a login at the registry of an image: container.credentials of the
// workflow, or, for images of ghcr.io and containers.pkg.github.com without them, the
// job's own token (actions/runner, ContainerOperationProvider.cs). Its String method
// hides it.
type Registry struct {
	Username string `json:"username"`
	Password string `json:"password"`
	// ServerURL is derived from the image by the runner; empty for Docker Hub.
	ServerURL string `json:"serverUrl"`
}

// String says that there is a login.
func (r Registry) String() string { return fmt.Sprintf("a login at %q", r.ServerURL) }

// GoString is String, so that %#v shows no secret either.
func (r Registry) GoString() string { return r.String() }

// maxServices bounds the services of a job. A pod of so many containers is more than
// any node starts in good time.
const maxServices = 32

// UnmarshalJSON reads HookContainer of the runner's HookInput.cs with its login.
func (c *JobContainer) UnmarshalJSON(data []byte) error {
	var with struct {
		Registry *Registry `json:"registry"`
	}
	if err := json.Unmarshal(data, &with); err != nil {
		return err
	}
	if err := json.Unmarshal(data, &c.Container); err != nil {
		return err
	}
	if with.Registry != nil && with.Registry.Username != "" {
		c.Registry = with.Registry
	}
	return nil
}

// DecodeJob decodes and validates the arguments of prepare_job, as tolerant of what it
// does not know as [Input.Container], within the same bounds for each container.
func DecodeJob(args json.RawMessage) (Job, error) {
	if orNil(args) == nil {
		return Job{}, errors.New(`read job containers: field "args" is missing or null`)
	}
	if err := CheckBudget(args); err != nil {
		return Job{}, fmt.Errorf("read job containers: %w", err)
	}
	var wire struct {
		Container json.RawMessage   `json:"container"`
		Services  []json.RawMessage `json:"services"`
	}
	if err := json.Unmarshal(args, &wire); err != nil {
		return Job{}, fmt.Errorf("read job containers: %w", explain("args.", err))
	}
	if len(wire.Services) > maxServices {
		return Job{}, fmt.Errorf("read job containers: the job has %d services, and kiln runs at most %d", len(wire.Services), maxServices)
	}
	return decodeContainers(wire.Container, wire.Services)
}

// decodeContainers reads the containers of a job.
func decodeContainers(container json.RawMessage, services []json.RawMessage) (Job, error) {
	var job Job
	if orNil(bytes.TrimSpace(container)) != nil {
		read, err := decodeContainer("container", container)
		if err != nil {
			return Job{}, err
		}
		job.Container = &read
	}
	for i, service := range services {
		read, err := decodeContainer(fmt.Sprintf("services[%d]", i), service)
		if err != nil {
			return Job{}, err
		}
		job.Services = append(job.Services, read)
	}
	if job.Container == nil && len(job.Services) == 0 {
		return Job{}, errors.New("read job containers: the job has neither a container nor a service")
	}
	return job, nil
}

// decodeContainer reads the container of a job that stands at field.
func decodeContainer(field string, data json.RawMessage) (JobContainer, error) {
	var c JobContainer
	if err := json.Unmarshal(data, &c); err != nil {
		return JobContainer{}, fmt.Errorf("read job containers: %s: %w", field, explain("", err))
	}
	if c.Container.Image == "" {
		return JobContainer{}, fmt.Errorf("read job containers: %s names no image", field)
	}
	if err := c.Container.Validate(); err != nil {
		return JobContainer{}, fmt.Errorf("read job containers: %s: %w", field, err)
	}
	if slices.ContainsFunc([]string{c.Container.CreateOptions, c.Container.WorkingDirectory}, hasNUL) {
		return JobContainer{}, fmt.Errorf("read job containers: %s holds a NUL byte in its options, which a process cannot be given", field)
	}
	return c, nil
}

// JobEnv returns the environment that a container of a job begins with: that of
// [StepEnv] without what is empty. The runner names an empty variable to Docker
// without its value, and Docker takes that of the runner, which has none, so that the
// variable is not set. The result is a new map.
func JobEnv(c Container) map[string]string {
	env := StepEnv(c)
	for name, value := range env {
		if value == "" {
			delete(env, name)
		}
	}
	return env
}
