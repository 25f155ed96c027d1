package hook_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/hook"
)

// runnerLine has every field that a runner sends for a container step.
const runnerLine = `{"command":"run_container_step","responseFile":"/home/runner/_work/_temp/_runner_hook_responses/7c.json",` +
	`"args":{"image":null,"dockerfile":"/home/runner/_work/app/app/./.github/actions/lint/Dockerfile",` +
	`"entryPointArgs":["\"--msg\"","\"hello","world\"","\"\""],"entryPoint":null,"workingDirectory":"/github/workspace",` +
	`"createOptions":null,"registry":null,` +
	`"environmentVariables":{"INPUT_WHO-TO":"Mona","HOME":"/github/home","EMPTY":"","NOTHING":null,"ACTIONS_RUNTIME_TOKEN":"s3cret"},` +
	`"portMappings":[],"systemMountVolumes":[` +
	`{"userProvidedValue":null,"sourceVolumePath":"/var/run/docker.sock","targetVolumePath":"/var/run/docker.sock","readOnly":false},` +
	`{"userProvidedValue":null,"sourceVolumePath":"/home/runner/externals","targetVolumePath":"/__e","readOnly":true}],` +
	`"userMountVolumes":[]},"state":null}` + "\n"

func TestContainer(t *testing.T) {
	in, err := hook.Parse([]byte(runnerLine))
	if err != nil {
		t.Fatal(err)
	}
	got, err := in.Container()
	if err != nil {
		t.Fatal(err)
	}
	want := hook.Container{
		Dockerfile:       "/home/runner/_work/app/app/./.github/actions/lint/Dockerfile",
		EntryPointArgs:   []string{`"--msg"`, `"hello`, `world"`, `""`},
		WorkingDirectory: "/github/workspace",
		EnvironmentVariables: hook.Environment{
			"INPUT_WHO-TO": "Mona", "HOME": "/github/home", "EMPTY": "", "ACTIONS_RUNTIME_TOKEN": "s3cret",
		},
		PortMappings: []string{},
		SystemMountVolumes: []hook.Mount{
			{SourceVolumePath: "/var/run/docker.sock", TargetVolumePath: "/var/run/docker.sock"},
			{SourceVolumePath: "/home/runner/externals", TargetVolumePath: "/__e", ReadOnly: true},
		},
		UserMountVolumes: []hook.Mount{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Container (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"--msg", "hello world", ""}, hook.SplitArgs(got.EntryPointArgs)); diff != "" {
		t.Errorf("SplitArgs (-want +got):\n%s", diff)
	}
}

func TestContainerRoundTrip(t *testing.T) {
	want := hook.Container{
		Image: "alpine", EntryPoint: "/bin/sh", EntryPointArgs: []string{"-c"}, WorkingDirectory: "/w",
		CreateOptions: "--cpus 1", EnvironmentVariables: hook.Environment{"A": "", "B": "x"}, PortMappings: []string{"80:80"},
		SystemMountVolumes: []hook.Mount{{SourceVolumePath: "/s", TargetVolumePath: "/t", ReadOnly: true}},
		UserMountVolumes:   []hook.Mount{{UserProvidedValue: "v:/d", SourceVolumePath: "v", TargetVolumePath: "/d"}},
	}
	if diff := cmp.Diff(want, remarshal(t, want)); diff != "" {
		t.Errorf("after a round trip (-want +got):\n%s", diff)
	}
}

func TestContainerErrors(t *testing.T) {
	for _, tc := range []struct{ name, data, want string }{
		{"other command", `{"command":"run_script_step","args":{}}`, `the command is "run_script_step", and only run_container_step carries one`},
		{"no args", `{"command":"run_container_step","args":null}`, `field "args" is missing or null`},
		{"args of a wrong type", args(`"x"`), `field "args": want an object, got JSON type string`},
		{"neither", args(`{}`), "neither image nor dockerfile is set; runs.image"},
		{"neither, empty", args(`{"image":"","dockerfile":null}`), "neither image nor dockerfile is set"},
		{"both", args(`{"image":"a","dockerfile":"/b"}`), `both image "a" and dockerfile "/b" are set`},
		{"args as a string", args(`{"image":"a","entryPointArgs":"-c x"}`), `field "args.entryPointArgs": want an array, got JSON type string`},
		{"number among args", args(`{"image":"a","entryPointArgs":["x",4711]}`), `field "args.entryPointArgs": want a string, got JSON type number`},
		{"entry point as a list", args(`{"image":"a","entryPoint":["sh"]}`), `field "args.entryPoint": want a string, got JSON type array`},
		{"environment as a list", args(`{"image":"a","environmentVariables":["A=b"]}`), `field "environmentVariables": want an object, got JSON type array`},
		{"number in the environment", args(`{"image":"a","environmentVariables":{"PIN":4711}}`), `field "environmentVariables.PIN": want a string, got JSON type number`},
		{"object in the environment", args(`{"image":"a","environmentVariables":{"B":"x","A":{"k":"v"}}}`), `field "environmentVariables.A": want a string, got JSON type object`},
		{"mount flag", args(`{"image":"a","systemMountVolumes":[{"readOnly":"yes"}]}`), `field "args.systemMountVolumes.readOnly": want true or false, got JSON type string`},
		{"mount as a string", args(`{"image":"a","userMountVolumes":["/a:/b"]}`), `field "args.userMountVolumes": want an object, got JSON type string`},
		{"NUL in an argument", args(`{"image":"a","entryPointArgs":["a\u0000b"]}`), `field "entryPointArgs" holds a NUL byte`},
		{"NUL in the environment", args(`{"image":"a","environmentVariables":{"A":"4711\u0000"}}`), `environment variable "A" holds a NUL byte`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, err := hook.Parse([]byte(tc.data))
			if err != nil {
				t.Fatal(err)
			}
			_, err = in.Container()
			wantError(t, err, tc.want)
			wantError(t, err, "read step container: ")
			if strings.Contains(err.Error(), "4711") {
				t.Errorf("the error %q shows a value", err)
			}
		})
	}
}

func TestContainerCounts(t *testing.T) {
	const variables, fragments, mounts = 5000, 10000, 256
	environment := hook.Environment{}
	for i := range variables {
		environment[fmt.Sprintf("V%d", i)] = "4711"
	}
	most := hook.Container{
		Image: "a", EnvironmentVariables: environment, EntryPointArgs: make([]string, fragments),
		SystemMountVolumes: make([]hook.Mount, mounts-1), UserMountVolumes: make([]hook.Mount, 1),
	}
	if err := most.Validate(); err != nil {
		t.Errorf("as much as is allowed: %v", err)
	}
	for want, change := range map[string]func(*hook.Container){
		"systemMountVolumes and userMountVolumes holds 257 entries, and a step can have at most 256": func(c *hook.Container) { c.UserMountVolumes = make([]hook.Mount, 2) },
		"entryPointArgs holds 10001 entries, and a step can have at most 10000":                      func(c *hook.Container) { c.EntryPointArgs = make([]string, fragments+1) },
		"environmentVariables holds 5001 entries, and a step can have at most 5000": func(c *hook.Container) {
			c.EnvironmentVariables = maps.Clone(environment)
			c.EnvironmentVariables["MORE"] = ""
		},
	} {
		c := most
		change(&c)
		wantError(t, c.Validate(), want)
	}
}

func args(object string) string {
	return `{"command":"run_container_step","args":` + object + `}`
}

func TestContainerNulls(t *testing.T) {
	in, err := hook.Parse([]byte(args(`{"image":"a","dockerfile":null,"entryPointArgs":null,"entryPoint":null,"workingDirectory":null,` +
		`"environmentVariables":null,"portMappings":null,"systemMountVolumes":null,"userMountVolumes":null,"registry":{"password":"p"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := in.Container()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(hook.Container{Image: "a"}, got); diff != "" {
		t.Errorf("Container (-want +got):\n%s", diff)
	}
}

func TestStringHidesValues(t *testing.T) {
	in, err := hook.Parse([]byte(runnerLine))
	if err != nil {
		t.Fatal(err)
	}
	c, err := in.Container()
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{in, &in, c, &c, c.EnvironmentVariables, []any{c}, map[string]any{"c": c}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			text := fmt.Sprintf(format, value)
			if strings.Contains(text, "s3cret") || strings.Contains(text, "hello") {
				t.Errorf("%s of %T shows a value: %s", format, value, text)
			}
		}
	}
	if got, want := c.String(), `dockerfile "/home/runner/_work/app/app/./.github/actions/lint/Dockerfile" (4 argument fragments, 4 environment variables, 2 mounts)`; got != want {
		t.Errorf("String = %s, want %s", got, want)
	}
}

func TestStepEnv(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  hook.Environment
		want map[string]string
	}{
		{"none", nil, map[string]string{"GITHUB_ACTIONS": "true", "CI": "true"}},
		{"others stay", hook.Environment{"A": "1", "E": ""}, map[string]string{"A": "1", "E": "", "GITHUB_ACTIONS": "true", "CI": "true"}},
		{"CI is the workflow's", hook.Environment{"CI": "false"}, map[string]string{"CI": "false", "GITHUB_ACTIONS": "true"}},
		{"empty CI is the workflow's", hook.Environment{"CI": ""}, map[string]string{"CI": "", "GITHUB_ACTIONS": "true"}},
		{"GITHUB_ACTIONS is not", hook.Environment{"GITHUB_ACTIONS": "no"}, map[string]string{"CI": "true", "GITHUB_ACTIONS": "true"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := len(tc.env)
			if diff := cmp.Diff(tc.want, hook.StepEnv(hook.Container{EnvironmentVariables: tc.env})); diff != "" {
				t.Errorf("StepEnv (-want +got):\n%s", diff)
			}
			if len(tc.env) != before {
				t.Error("StepEnv changed its argument")
			}
		})
	}
}
