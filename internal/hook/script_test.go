package hook_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/hook"
)

func script(t *testing.T, args string) (hook.Script, error) {
	t.Helper()
	input, err := hook.Parse([]byte(`{"command":"run_script_step","args":` + args + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return input.Script()
}

// TestScriptSteps has what a runner sends for the shells that a workflow can name, and
// for an action of JavaScript.
func TestScriptSteps(t *testing.T) {
	for name, tt := range map[string]struct {
		args string
		want []string
	}{
		"sh":     {`"entryPoint":"sh","entryPointArgs":["-e","/__w/_temp/a.sh"]`, []string{"sh", "-e", "/__w/_temp/a.sh"}},
		"bash":   {`"entryPoint":"bash","entryPointArgs":["--noprofile","--norc","-e","-o","pipefail","/__w/_temp/a.sh"]`, []string{"bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "/__w/_temp/a.sh"}},
		"pwsh":   {`"entryPoint":"pwsh","entryPointArgs":["-command","\".","'/__w/_temp/a.ps1'\""]`, []string{"pwsh", "-command", ". '/__w/_temp/a.ps1'"}},
		"custom": {`"entryPoint":"perl","entryPointArgs":["-w","","/__w/_temp/a"]`, []string{"perl", "-w", "/__w/_temp/a"}},
		"node":   {`"entryPoint":"/__e/node24/bin/node","entryPointArgs":["/__w/app/app/./act/index.js"]`, []string{"/__e/node24/bin/node", "/__w/app/app/./act/index.js"}},
		"alone":  {`"entryPoint":"true","entryPointArgs":null`, []string{"true"}},
	} {
		got, err := script(t, "{"+tt.args+"}")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got.Argv()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestScriptEnvironment keeps odd names and values, and leaves out what is null or no
// process can have.
func TestScriptEnvironment(t *testing.T) {
	got, err := script(t, `{"entryPoint":"sh","environmentVariables":{"B":"$x \"q\" 'p' ü=\n","A'\"$":"1","NONE":null,"EMPTY":"","":"x","C=D":"x"}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"A'\"$=1", "B=$x \"q\" 'p' ü=\n", "EMPTY="}
	if diff := cmp.Diff(want, got.Env()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%v %#v", got, got); strings.Contains(text, "$x") {
		t.Errorf("%s shows a value", text)
	}
}

func TestScriptPrependPath(t *testing.T) {
	for text, want := range map[string][]string{
		`["/b","/a"]`: {"/b", "/a"}, `"/b:/a"`: {"/b", "/a"}, `""`: nil, `null`: nil, `[]`: {},
	} {
		got, err := script(t, `{"entryPoint":"sh","prependPath":`+text+`}`)
		if diff := cmp.Diff(hook.Paths(want), got.PrependPath); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestScriptErrors(t *testing.T) {
	for args, want := range map[string]string{
		`null`:                               `field "args" is missing`,
		`{}`:                                 `field "entryPoint" is missing or empty`,
		`{"entryPoint":1}`:                   `field "args.entryPoint": want a string, got JSON type number`,
		`{"entryPoint":"a\u0000"}`:           `field "entryPoint" holds a NUL byte`,
		`{"entryPoint":"a","prependPath":7}`: `want an array, got JSON type number`,
		`{"entryPoint":"a","environmentVariables":{"X":"\u0000"}}`:                      `variable "X" holds a NUL byte`,
		`{"entryPoint":"a","entryPointArgs":[` + strings.Repeat(`"",`, 60_000) + `""]}`: "more than 50000 values",
	} {
		if _, err := script(t, args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", args, err, want)
		}
	}
	input, err := hook.Parse([]byte(`{"command":"cleanup_job","args":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := input.Script(); err == nil {
		t.Error("cleanup_job carries a step")
	}
}
