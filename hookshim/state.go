package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"kiln/internal/agent"
	"kiln/internal/jobdir"
)

// Ways to the job container's agent.
const (
	waySocket = "socket"
	wayTCP    = "tcp"
)

// A job is what prepare_job leaves with the runner for the later calls: the
// member kiln of the state. The daemon writes the first three fields.
type job struct {
	Dir       string     `json:"dir"`                 // the job's directory
	Address   string     `json:"address,omitempty"`   // of its agent, host:port; empty without container
	Secret    string     `json:"secret,omitempty"`    // of that address
	Door      string     `json:"door,omitempty"`      // the way that was found open
	Libc      agent.Libc `json:"libc,omitempty"`      // what the job container's image has
	Externals string     `json:"externals,omitempty"` // the runner's own, what is /__e in the container

	short string // the limits of options that are lower than was asked
}

// errNoJob is a call without what prepare_job has left.
var errNoJob = errors.New("the runner's message has no state of a job container that kiln made: its prepare_job failed, or was another hook's")

// readJob reads a state.
func readJob(state json.RawMessage) (job, error) {
	var s struct {
		Kiln *job `json:"kiln"`
	}
	if len(state) == 0 {
		return job{}, errNoJob
	}
	if err := json.Unmarshal(state, &s); err != nil {
		return job{}, fmt.Errorf("read the job's state: %w", err)
	}
	if s.Kiln == nil {
		return job{}, errNoJob
	}
	return *s.Kiln, nil
}

// door is the way to the job container's agent.
func (j job) door(work string) (agent.Door, error) {
	dir, err := jobdir.Open(work, j.Dir)
	if err != nil {
		return agent.Door{}, err
	}
	switch {
	case j.Door == waySocket:
		return agent.Door{Socket: dir.Door()}, nil
	case j.Door == wayTCP && j.Address != "":
		return agent.Door{TCP: j.Address, Secret: []byte(j.Secret)}, nil
	}
	return agent.Door{}, errNoJob
}

// complete returns the daemon's response with what this side adds to the state;
// all else stays as it is.
func (j job) complete(response json.RawMessage) (json.RawMessage, error) {
	own, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("complete the job's state: %w", err)
	}
	return with(response, own, "state", "kiln")
}

// with sets the members of own in the object at a path in a document.
func with(document, own json.RawMessage, path ...string) (json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	if len(document) > 0 {
		if err := json.Unmarshal(document, &members); err != nil {
			return nil, fmt.Errorf("read the daemon's response: %w", err)
		}
	}
	if members == nil { // null
		members = map[string]json.RawMessage{}
	}
	var err error
	if len(path) > 0 {
		members[path[0]], err = with(members[path[0]], own, path[1:]...)
	} else {
		err = json.Unmarshal(own, &members)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

// writeResponse writes what the runner reads of this call, in place of what is there. The
// runner has made the file; nothing else is followed or replaced. The file keeps its
// space: what is not longer than before fits also on a full volume.
func writeResponse(path string, response json.RawMessage) error {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return fmt.Errorf("write the response: %w", err)
	}
	n, err := file.Write(append(bytes.TrimSpace(response), '\n'))
	if err == nil {
		err = file.Truncate(int64(n))
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write the response: %w", jobdir.Explain(err))
	}
	return nil
}
