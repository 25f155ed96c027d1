package job

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
)

// Response is what the runner reads of a job that was prepared (actions/runner,
// HookResponse.cs and ContainerHookManager.cs), and what of it the runner gives to
// every later call of the job.
type Response struct {
	// State is what later calls get.
	State State `json:"state"`
	// IsAlpine would have the runner name another Node.js for JavaScript actions; the
	// shim sees to that itself.
	IsAlpine bool `json:"isAlpine"`
	// Context is job.container and job.services of the workflow.
	Context Context `json:"context"`
}

// State is what later calls of the job get.
type State struct {
	// JobPod is the pod's name, by the name that the stock hook has for it; empty for a
	// job without a container.
	JobPod string `json:"jobPod,omitempty"`
	// Kiln is the way into the job container; nil for a job without one.
	Kiln *Door `json:"kiln,omitempty"`
}

// Door is the way into a job container. The shim adds to it which way steps go.
type Door struct {
	// Dir is the job's own directory below _kiln on the work volume: its socket is the
	// file "door".
	Dir string `json:"dir"`
	// Address is where the agent listens beside its socket, as HOST:PORT, for those who
	// know Secret; empty where the pod's address was not known.
	Address string `json:"address"`
	Secret  string `json:"secret"`
}

// Context is what workflows see of the job's containers.
type Context struct {
	Container *Container `json:"container,omitempty"`
	// Services is in the order of the message, and never null: the runner fails at that.
	Services []Service `json:"services"`
}

// Container is job.container.
type Container struct {
	ID      string `json:"id"`
	Network string `json:"network"`
}

// Service is job.services.NAME.
type Service struct {
	ID      string `json:"id"`
	Network string `json:"network"`
	// Ports has for each port of the service the one to connect to from the runner; it
	// is never null.
	Ports map[string]string `json:"ports"`
}

// Respond returns the document of a job whose pod has that address, empty where it is
// not known.
func Respond(s Spec, podIP string) Response {
	address := ""
	if podIP != "" {
		address = net.JoinHostPort(podIP, strconv.Itoa(int(s.Port())))
	}
	return Response{
		State: State{JobPod: s.Name, Kiln: &Door{
			Dir:     s.Dir,
			Address: address,
			Secret:  string(s.Door),
		}},
		Context: Context{
			Container: &Container{ID: s.Name + "/" + ContainerName, Network: s.Name},
			Services:  []Service{},
		},
	}
}

// JSON is the document as the runner reads it.
func (r Response) JSON() (json.RawMessage, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the response of the job: %w", err)
	}
	return data, nil
}
