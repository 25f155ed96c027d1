package hook_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/hook"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, data string
		want       hook.Input
	}{
		{
			"all fields",
			`{"command":"run_container_step","responseFile":"/r.json","args":{"a":1},"state":{"jobPod":"p"}}` + "\n",
			hook.Input{Command: "run_container_step", ResponseFile: "/r.json", Args: json.RawMessage(`{"a":1}`), State: json.RawMessage(`{"jobPod":"p"}`)},
		},
		{"nulls", `{"command":"cleanup_job","responseFile":null,"args":null,"state":null}`, hook.Input{Command: "cleanup_job"}},
		{"missing", `{"command":"cleanup_job"}`, hook.Input{Command: "cleanup_job"}},
		{"unknown field", `{"command":"cleanup_job","new":[1,{"x":null}]}`, hook.Input{Command: "cleanup_job"}},
		{"unknown command", `{"command":"hibernate_job","args":{}}`, hook.Input{Command: "hibernate_job", Args: json.RawMessage(`{}`)}},
		{"byte order mark", "\xef\xbb\xbf" + `{"command":"cleanup_job"}` + "\r\n", hook.Input{Command: "cleanup_job"}},
		{"several lines", "\n{\n \"command\": \"cleanup_job\"\n}\n\n", hook.Input{Command: "cleanup_job"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := hook.Parse([]byte(tc.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct{ name, data, want string }{
		{"empty", "", "stdin is empty; the runner writes one line of JSON there"},
		{"only a byte order mark", "\xef\xbb\xbf\n", "stdin is empty"},
		{"not JSON", "hello", "invalid character 'h'"},
		{"cut off", `{"command":"run_container`, "unexpected end of JSON input"},
		{"two values", `{"command":"a"}{"command":"b"}`, "invalid character '{' after top-level value"},
		{"array", `[]`, "want an object, got JSON type array"},
		{"null", `null`, `field "command" is missing or empty`},
		{"no command", `{"args":{}}`, `field "command" is missing or empty`},
		{"command of a wrong type", `{"command":7}`, `field "command": want a string, got JSON type number`},
		{"response file of a wrong type", `{"command":"x","responseFile":{}}`, `field "responseFile": want a string, got JSON type object`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := hook.Parse([]byte(tc.data))
			wantError(t, err, tc.want)
			wantError(t, err, "read hook input: ")
		})
	}
}

func TestParseCopiesData(t *testing.T) {
	data := []byte(`{"command":"x","args":{"a":"b"}}`)
	in, err := hook.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if got, want := string(in.Args), `{"a":"b"}`; got != want {
		t.Errorf("Args after the data changed = %s, want %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(runnerLine))
	f.Add([]byte(`{"command":"run_container_step","args":{"image":"alpine","environmentVariables":{"A":null}}}`))
	f.Add([]byte(`{"command":"run_container_step","args":{"image":"alpine","entryPointArgs":[null,"x"]}}`))
	f.Add([]byte("\xef\xbb\xbfnull"))
	f.Add([]byte(`{"COMMAND":"x","command":"y"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := hook.Parse(data)
		if err != nil {
			return
		}
		if in.Command == "" {
			t.Error("Parse gave an empty command")
		}
		c, err := in.Container()
		if err != nil {
			return
		}
		if (c.Image == "") == (c.Dockerfile == "") {
			t.Errorf("Container gave image %q and dockerfile %q", c.Image, c.Dockerfile)
		}
		again := remarshal(t, c)
		if diff := cmp.Diff(hook.StepEnv(c), hook.StepEnv(again)); diff != "" {
			t.Errorf("environment after a round trip (-want +got):\n%s", diff)
		}
	})
}

// remarshal sends c through JSON.
func remarshal(t *testing.T, c hook.Container) hook.Container {
	t.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var again hook.Container
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", part)
	}
	if !strings.Contains(err.Error(), part) {
		t.Errorf("got error %q, want it to contain %q", err, part)
	}
}
