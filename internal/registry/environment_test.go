package registry

import (
	"encoding/json"
	"testing"
)

func TestEnvironment(t *testing.T) {
	for config, want := range map[string]Environment{
		`{}`:                                  {},
		`{"Env": null, "WorkingDir": "/a"}`:   {},
		`{"Env": ["PATH=/bin", "A=", "B=="]}`: {},
		`{"Env": []}`:                         {NoPath: true},
		`{"Env": ["container=oci"]}`:          {NoPath: true},
		`{"Env": ["MYPATH=/bin"]}`:            {NoPath: true},
		`{"Env": ["PATH=/bin", "BARE"]}`:      {Bad: "BARE"},
		`{"Env": ["PATH=/bin", "=x"]}`:        {Bad: "=x"},
		`{"Env": ["PATH=/bin", null]}`:        {Bad: " "},
		`{"Env": null, "WorkingDir": "app"}`:  {Relative: true},
	} {
		var c imageConfig
		if err := json.Unmarshal([]byte(`{"config": `+config+`}`), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.environment(); got != want {
			t.Errorf("%s: %+v, want %+v", config, got, want)
		}
	}
}
