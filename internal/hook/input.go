package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// The commands a runner sends, as HookInput.cs of actions/runner names them.
const (
	// PrepareJob starts the job container and the services. It is sent only
	// when the job has one of them.
	PrepareJob = "prepare_job"
	// CleanupJob removes what PrepareJob made.
	CleanupJob = "cleanup_job"
	// RunScriptStep runs a script in the job container.
	RunScriptStep = "run_script_step"
	// RunContainerStep builds or pulls the image of a container action and
	// runs it. It is the one command that [Input.Container] reads.
	RunContainerStep = "run_container_step"
	// ExplainJob is no command of a runner's: kiln-hook asks the daemon why the
	// job container is gone.
	ExplainJob = "explain_job"
)

// Input is one request of the runner, as it comes on the hook's stdin.
type Input struct {
	// Command says what to do: one of the constants of this package, or a
	// name that a newer runner knows. Never empty after Parse.
	Command string
	// ResponseFile is the file that the runner made, empty, for the hook's
	// answer. Empty when the caller sent none, which no real runner does.
	ResponseFile string
	// Args is the command's own object, undecoded; nil when it was null or
	// missing.
	Args json.RawMessage
	// State is what an earlier hook of this job left for later ones,
	// undecoded; nil when there is none.
	State json.RawMessage
}

// wireInput is HookInput as the runner serialises it.
type wireInput struct {
	Command      string          `json:"command"`
	ResponseFile string          `json:"responseFile"`
	Args         json.RawMessage `json:"args"`
	State        json.RawMessage `json:"state"`
}

// Parse reads the whole stdin of a hook.
//
// The result shares no memory with data. It is an error when data is not one
// JSON object or names no command; a command that this package does not know
// is none, so that a caller can pass it on.
func Parse(data []byte) (Input, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(data)) == 0 {
		return Input{}, errors.New("read hook input: stdin is empty; the runner writes one line of JSON there, so start this program as a container hook")
	}
	var wire wireInput
	if err := json.Unmarshal(data, &wire); err != nil {
		return Input{}, fmt.Errorf("read hook input: %w", explain("", err))
	}
	if wire.Command == "" {
		return Input{}, errors.New(`read hook input: field "command" is missing or empty`)
	}
	return Input{
		Command:      wire.Command,
		ResponseFile: wire.ResponseFile,
		Args:         orNil(wire.Args),
		State:        orNil(wire.State),
	}, nil
}

// String names the command and the sizes of the rest, never their content.
func (in Input) String() string {
	return fmt.Sprintf("%s (args %d bytes, state %d bytes)", in.Command, len(in.Args), len(in.State))
}

// GoString is String, so that %#v shows no secret either.
func (in Input) GoString() string { return in.String() }

// decode reads the arguments of one command into what errors call a noun, of which
// there are no more values than any step has.
func decode[T any](in Input, command, what string) (args T, err error) {
	switch {
	case in.Command != command:
		err = fmt.Errorf("the command is %q, and only %s carries one", in.Command, command)
	case in.Args == nil:
		err = errors.New(`field "args" is missing or null`)
	default:
		err = CheckBudget(in.Args)
	}
	if err == nil {
		if err = json.Unmarshal(in.Args, &args); err != nil {
			err = explain("args.", err)
		}
	}
	if err != nil {
		return args, fmt.Errorf("read %s: %w", what, err)
	}
	return args, nil
}

// orNil turns the literal null, which RawMessage keeps, into nothing.
func orNil(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// explain rewrites an error of encoding/json in the terms of the protocol.
// prefix is the field that was decoded, with a final dot, or empty.
//
// The original text is not kept: for a number it quotes the value, which may
// be a secret.
func explain(prefix string, err error) error {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	got, _, _ := strings.Cut(wrong.Value, " ")
	field := prefix + wrong.Field
	if field = strings.TrimSuffix(field, "."); field == "" {
		return fmt.Errorf("want %s, got JSON type %s", noun(wrong.Type), got)
	}
	return fmt.Errorf("field %q: want %s, got JSON type %s", field, noun(wrong.Type), got)
}

// noun says what JSON value decodes into t.
func noun(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a " + t.Kind().String()
	}
}
