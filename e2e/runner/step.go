package runner

import (
	"encoding/json"
	"time"
)

// A Step is one call of a hook, as the worker knows it when it is about to
// call the hook. It crosses from the test to the runner container as JSON.
type Step struct {
	// ID makes the names of the step's file commands and response file unique.
	ID string `json:"id"`
	// Repository is owner/name; its last element names the workspace.
	Repository string `json:"repository"`
	// Command is the hook command; empty means run_container_step.
	Command string `json:"command,omitempty"`
	// Dockerfile is the Dockerfile's path below the work folder. It is joined
	// literally, as the worker does, so that a local action keeps its "/./".
	Dockerfile string `json:"dockerfile,omitempty"`
	// Image is the image of a step without a Dockerfile.
	Image string `json:"image,omitempty"`
	// EntryPoint replaces the image's entry point; empty leaves it.
	EntryPoint string `json:"entryPoint,omitempty"`
	// Args are the evaluated arguments, one per element.
	Args []string `json:"args,omitempty"`
	// Env holds the job's and the step's environment, inputs and saved state
	// included (INPUT_*, STATE_*).
	Env map[string]string `json:"env,omitempty"`
	// HookEnv is added to the environment of the hook's process only.
	HookEnv map[string]string `json:"hookEnv,omitempty"`
	// State is what prepare_job left, for the later calls of its job.
	State json.RawMessage `json:"state,omitempty"`
	// Job is the job of prepare_job and of the steps in its container.
	Job *Job `json:"job,omitempty"`
	// Script is the step of run_script_step.
	Script *Script `json:"script,omitempty"`
	// Quiet keeps the hook's output where the runner is: the report has its
	// length and its SHA-256.
	Quiet bool `json:"quiet,omitempty"`
	// Raw, when not nil, is sent to the hook in place of the message.
	Raw []byte `json:"raw,omitempty"`
	// Interrupt signals the hook's process; nil lets it end by itself.
	Interrupt *Interrupt `json:"interrupt,omitempty"`
}

// An Interrupt sends signals to the hook's process, and to no other.
type Interrupt struct {
	// After is awaited in a line of the hook's output before the first signal.
	After string `json:"after,omitempty"`
	// Path, when set, is awaited instead: a pattern (path.Match) that a file
	// with some content has to match.
	Path string `json:"path,omitempty"`
	// Signals are sent in order while the process lives.
	Signals []TimedSignal `json:"signals"`
}

// A TimedSignal is a signal, and how long the process has to end after it.
type TimedSignal struct {
	Name string        `json:"name"` // INT, TERM or KILL
	Wait time.Duration `json:"wait"`
}

// Cancel is how the worker ends the hook of a cancelled job: SIGINT, 7.5 s,
// SIGTERM, 2.5 s, SIGKILL (ProcessInvoker.cs). It starts after a line of the
// output contains the given text.
func Cancel(after string) *Interrupt {
	return &Interrupt{After: after, Signals: []TimedSignal{
		{Name: "INT", Wait: 7500 * time.Millisecond},
		{Name: "TERM", Wait: 2500 * time.Millisecond},
		{Name: "KILL"},
	}}
}

// A Report is what the worker sees of a step that has ended.
type Report struct {
	// ExitCode is the hook's, or 128 plus the number of the signal that ended it.
	ExitCode int `json:"exitCode"`
	// Signal names the signal that ended the hook; empty when it exited.
	Signal string `json:"signal,omitempty"`
	// OutputHeld says that something still held the hook's output open after
	// the hook was gone, which costs the worker five seconds.
	OutputHeld bool `json:"outputHeld,omitempty"`
	// Duration runs from the start of the hook to its end, Stopped from the
	// first signal of an Interrupt to the end of the hook.
	Duration time.Duration `json:"duration"`
	Stopped  time.Duration `json:"stopped,omitempty"`
	// OutputBytes and OutputSHA256 (hex) describe the hook's whole output, to
	// tell a loss on the way to the test from one in the hook.
	OutputBytes  int64  `json:"outputBytes"`
	OutputSHA256 string `json:"outputSHA256"`
	// The file commands, read back whether or not the step failed.
	Outputs map[string]string `json:"outputs,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	State   map[string]string `json:"state,omitempty"`
	Path    []string          `json:"path,omitempty"`
	Summary string            `json:"summary,omitempty"`
	// Response is the response file's content.
	Response string `json:"response,omitempty"`
	// Message is the line that the hook was given.
	Message json.RawMessage `json:"message,omitempty"`
}
