package registry

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	for config, want := range map[string]Environment{
		`{}`:                                                         {},
		`{"Env": null, "WorkingDir": "/a"}`:                          {Workdir: "/a"},
		`{"Env": ["PATH=/bin", "A=", "B=="]}`:                        {},
		`{"Env": []}`:                                                {NoPath: true},
		`{"Env": ["container=oci"]}`:                                 {NoPath: true},
		`{"Env": ["MYPATH=/bin"]}`:                                   {NoPath: true},
		`{"Env": ["PATH=/bin", "BARE"]}`:                             {Bad: "BARE"},
		`{"Env": ["PATH=/bin", "=x"]}`:                               {Bad: "=x"},
		`{"Env": ["PATH=/bin", null]}`:                               {Bad: " "},
		`{"Env": null, "WorkingDir": "app"}`:                         {Relative: true},
		`{"WorkingDir": "/a//b/./"}`:                                 {Workdir: "/a/b"},
		`{"WorkingDir": "/a/../b"}`:                                  {Dots: true},
		`{"WorkingDir": "/a/..b"}`:                                   {Workdir: "/a/..b"},
		`{"WorkingDir": "/` + strings.Repeat("a", maxWorkdir) + `"}`: {Dots: true},
		`{"Cmd": ["a"], "Healthcheck": {"Test": ["CMD", "a"], "Interval": 1}}`:   {Cmd: true},
		`{"Cmd": [], "Healthcheck": {"Test": ["CMD", "a"], "StartInterval": 1}}`: {StartInterval: true},
		`{"Env": ["PATH=/bin", "A=` + strings.Repeat("a", maxEnv) + `"]}`:        {Long: true},
	} {
		var c imageConfig
		if err := json.Unmarshal([]byte(`{"config": `+config+`}`), &c); err != nil {
			t.Fatal(err)
		}
		if want.Workdir == "" && !want.Relative && !want.Dots {
			want.Workdir = "/"
		}
		if got := c.environment(); got != want {
			t.Errorf("%.100s: %+v, want %+v", config, got, want)
		}
	}
}
