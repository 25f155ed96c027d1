package spool

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Request is what the shim asks of the daemon: one run_container_step. All of
// it is untrusted.
type Request struct {
	// Version is the protocol's, see [Version].
	Version int `json:"version"`
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
	// Args is the hook's args object as the runner sent it: the container.
	Args json.RawMessage `json:"args"`
}

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
