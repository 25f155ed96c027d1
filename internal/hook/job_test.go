package hook_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/internal/hook"
)

// TestDecodeJob reads what a runner sends, and passes over what it may send one day.
func TestDecodeJob(t *testing.T) {
	const args = `{"container":{"image":"node:22","dockerfile":null,"entryPointArgs":[],"entryPoint":null,"workingDirectory":"/__w/app/app",
		"createOptions":"--cpus 1","registry":{"username":"mona","password":"geheim","serverUrl":"ghcr.io"},
		"environmentVariables":{"HOME":"/github/home","NOTHING":null},"portMappings":["80:8080"],
		"systemMountVolumes":[{"userProvidedValue":null,"sourceVolumePath":"/home/runner/_work","targetVolumePath":"/__w","readOnly":false}],
		"userMountVolumes":[{"userProvidedValue":"vol:/data","sourceVolumePath":"vol","targetVolumePath":"/data","readOnly":true}],"new":[1]},
	 "services":[{"image":"redis","registry":{"username":"","password":""},"portMappings":["6379"],"environmentVariables":{}}],"new":{}}`
	got, err := hook.DecodeJob(json.RawMessage(args))
	if err != nil {
		t.Fatal(err)
	}
	want := hook.Job{
		Container: &hook.JobContainer{
			Container: hook.Container{
				Image: "node:22", EntryPointArgs: []string{}, WorkingDirectory: "/__w/app/app", CreateOptions: "--cpus 1",
				EnvironmentVariables: hook.Environment{"HOME": "/github/home"}, PortMappings: []string{"80:8080"},
				SystemMountVolumes: []hook.Mount{{SourceVolumePath: "/home/runner/_work", TargetVolumePath: "/__w"}},
				UserMountVolumes:   []hook.Mount{{UserProvidedValue: "vol:/data", SourceVolumePath: "vol", TargetVolumePath: "/data", ReadOnly: true}},
			},
			Registry: &hook.Registry{Username: "mona", Password: "geheim", ServerURL: "ghcr.io"},
		},
		Services: []hook.JobContainer{{Container: hook.Container{Image: "redis", EnvironmentVariables: hook.Environment{}, PortMappings: []string{"6379"}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
	if said := fmt.Sprintf("%v %+v %#v", got, got.Container, got.Container.Registry); strings.Contains(said, "geheim") {
		t.Errorf("it says %s", said)
	}
	services, err := hook.DecodeJob(json.RawMessage(`{"container":null,"services":[{"image":"redis"}]}`))
	if err != nil || services.Container != nil || len(services.Services) != 1 {
		t.Errorf("services alone: %+v, %v", services, err)
	}
}

// TestDecodeJobRefuses names what is wrong, and where.
func TestDecodeJobRefuses(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`{"image":"a"},`, 33), ",")
	for name, tt := range map[string]struct{ args, want string }{
		"nothing":             {"null", `field "args" is missing`},
		"no object":           {"[]", "want an object"},
		"no container":        {`{"container":null,"services":null}`, "neither a container nor a service"},
		"no image":            {`{"container":{"image":null}}`, "container names no image"},
		"a service's image":   {`{"services":[{"image":"a"},{"image":""}]}`, "services[1] names no image"},
		"a Dockerfile":        {`{"container":{"image":"a","dockerfile":"/a/Dockerfile"}}`, "container: both image"},
		"wrong type":          {`{"services":{}}`, `field "args.services": want an array`},
		"wrong type within":   {`{"container":{"image":1}}`, `container: field "image": want a string`},
		"wrong login":         {`{"container":{"image":"a","registry":[]}}`, `container: field "registry": want an object`},
		"many services":       {`{"services":[` + many + `]}`, "the job has 33 services"},
		"many values":         {`{"services":[` + strings.Repeat("0,", 50_001) + `0]}`, "more than 50000 values"},
		"a NUL in options":    {`{"container":{"image":"a","createOptions":"\u0000"}}`, "holds a NUL byte in its options"},
		"a NUL in a variable": {`{"services":[{"image":"a","environmentVariables":{"A":"\u0000"}}]}`, "services[0]: environment variable"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hook.DecodeJob(json.RawMessage(tt.args))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzDecodeJob: whatever is sent is decoded or refused, and what is decoded can run.
func FuzzDecodeJob(f *testing.F) {
	f.Add([]byte(`{"container":{"image":"debian","registry":{"username":"a"}},"services":[{"image":"redis"}]}`))
	f.Add([]byte(`{"container":{},"services":null}`))
	f.Fuzz(func(t *testing.T, args []byte) {
		job, err := hook.DecodeJob(args)
		if err != nil {
			return
		}
		if job.Container == nil && len(job.Services) == 0 {
			t.Error("a job without containers")
		}
		if job.Container != nil && job.Container.Container.Image == "" {
			t.Error("a container without image")
		}
	})
}
