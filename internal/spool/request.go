package spool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Request is what the shim asks of the daemon: one call of the runner. All of
// it is untrusted.
type Request struct {
	// Version is the protocol's, see [Version].
	Version int `json:"version"`
	// Call is the hook's command; empty is run_container_step.
	Call string `json:"call,omitempty"`
	// Dockerfile is the Dockerfile's name inside the context.
	Dockerfile string `json:"dockerfile"`
	// Path is the Dockerfile as the runner named it, for messages only.
	Path string `json:"path"`
	// Workspace is the host path of the checkout, GITHUB_WORKSPACE in the
	// shim's own environment. Its last element names the image.
	Workspace string `json:"workspace"`
	// StopToken ends the shielding of build output from workflow commands:
	// 32 hexadecimal digits that the shim made up.
	StopToken string `json:"stop_token"`
	// Debug is set when the workflow's author turned step debugging on.
	Debug bool `json:"debug"`
	// Args is the hook's args object as the runner sent it: the container of a
	// step, or those of a job.
	Args json.RawMessage `json:"args"`
	// Job is what the shim adds to prepare_job and cleanup_job; nil for others.
	Job *Job `json:"job,omitempty"`
	// Outlet is where a container step's action can print to directly; nil for
	// nowhere.
	Outlet *Outlet `json:"outlet,omitempty"`
}

// Outlet is a pipe of the shim's, of which an action gets the write end at a socket
// on the work volume.
type Outlet struct {
	// Dir is the name of a directory below [JobsDir], 32 hexadecimal digits, with
	// the agent under the name "agent" and the socket under the name "door".
	Dir string `json:"dir"`
	// Token is what the socket wants: 32 hexadecimal digits.
	Token string `json:"token"`
}

// Valid reports whether both have their form. A name of that form leads nowhere
// else, and a token means nothing to a shell.
func (o Outlet) Valid() bool {
	return isOutletWord(o.Dir) && isOutletWord(o.Token)
}

// isOutletWord is the form of both. A pattern would be compiled at the start of every
// program that is linked with this package, one for each step among them.
func isOutletWord(word string) bool {
	return len(word) == 32 && strings.Trim(word, "0123456789abcdef") == ""
}

// Job is what the shim knows of a job with containers and the daemon cannot
// see: the daemon looks into neither the runner container nor the work volume.
type Job struct {
	// Dir is the job's own directory on the work volume: the name of a
	// directory below [JobsDir], 32 hexadecimal digits.
	Dir string `json:"dir"`
	// Agent is the SHA-256 of the agent that the shim has put into Dir under
	// the name "agent", as 64 hexadecimal digits; empty where it put none.
	Agent string `json:"agent,omitempty"`
	// NoExec says that no program can be started from the work volume, and that
	// there is no agent on it.
	NoExec bool `json:"no_exec,omitempty"`
	// Services are the names of the job's services in the order of the
	// message, as far as the shim could find them; empty where it could not.
	Services []string `json:"services,omitempty"`
	// Files are the files that options name and only the runner container
	// has, such as those of --env-file, by path.
	Files map[string]string `json:"files,omitempty"`
	// Env are the runner container's variables that options name without a
	// value (--env NAME), as far as it has them.
	Env map[string]string `json:"env,omitempty"`
	// State is what prepare_job left with the runner; nil for none.
	State json.RawMessage `json:"state,omitempty"`
}

// JobsDir is the directory of the work volume in which jobs have their own.
const JobsDir = "_kiln"

// Result is the daemon's last word on a request.
type Result struct {
	// Version is the protocol's, see [Version].
	Version int `json:"version"`
	// ExitCode is what the shim exits with, 0 to 255.
	ExitCode int `json:"exit_code"`
	// LogBytes is the length of the whole log in bytes.
	LogBytes int64 `json:"log_bytes"`
	// Message is printed after the log. The daemon sets it where it cannot
	// continue the log: for a request that an earlier run of it left.
	Message string `json:"message,omitempty"`
	// Response is what the runner is to read in its response file; nil for
	// nothing. The shim may complete it with what only it can see.
	Response json.RawMessage `json:"response,omitempty"`
}

// parseRequest reads request.json. Fields that it does not know are ignored.
func parseRequest(data []byte) (Request, error) {
	var request Request
	if err := json.Unmarshal(data, &request); err != nil {
		return Request{}, fmt.Errorf("parse %s: %w", fileRequest, err)
	}
	if request.Version != Version {
		return Request{}, fmt.Errorf("%s has protocol version %d, this daemon speaks %d: use kiln-hook and kilnd of one release", fileRequest, request.Version, Version)
	}
	return request, nil
}

// parseResult reads result.json.
func parseResult(data []byte) (Result, error) {
	var result Result
	if err := json.Unmarshal(data, &result); err != nil {
		return Result{}, fmt.Errorf("parse %s: %w", fileResult, err)
	}
	if result.Version != Version {
		return Result{}, fmt.Errorf("%s has protocol version %d, this shim speaks %d: use kiln-hook and kilnd of one release", fileResult, result.Version, Version)
	}
	if result.ExitCode < 0 || result.ExitCode > 255 {
		return Result{}, fmt.Errorf("%s has the exit code %d, which no process can have", fileResult, result.ExitCode)
	}
	return result, nil
}

// encode returns v as JSON with <, > and & as they are: the size of a request
// is limited, and escapes take six bytes for one.
func encode(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return buffer.Bytes(), err
}
