package runcspec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kiln/e2e/cluster/internal/runcspec"
)

func TestRelax(t *testing.T) {
	tests := map[string]struct{ spec, want string }{
		"a container": {
			`{"ociVersion":"1.0.2","process":{"capabilities":{"bounding":["CAP_KILL","CAP_SYS_RESOURCE"],"effective":["CAP_SYS_RESOURCE"]},"oomScoreAdj":-500}}`,
			`{"ociVersion":"1.0.2","process":{"capabilities":{"bounding":["CAP_KILL"],"effective":[]},"oomScoreAdj":0}}`,
		},
		"an exec": {
			`{"args":["sh"],"capabilities":{"permitted":["CAP_SYS_RESOURCE","CAP_CHOWN"]}}`,
			`{"args":["sh"],"capabilities":{"permitted":["CAP_CHOWN"]}}`,
		},
		"a positive score stays": {
			`{"process":{"oomScoreAdj":1000}}`,
			`{"process":{"oomScoreAdj":1000}}`,
		},
		"wide numbers keep their digits": {
			`{"linux":{"memory":9223372036854775807},"process":{}}`,
			`{"linux":{"memory":9223372036854775807},"process":{}}`,
		},
		"no capabilities": {`{"process":{"args":[]}}`, `{"process":{"args":[]}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := runcspec.Relax([]byte(tt.spec))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("Relax (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRelaxRefusesWhatIsNotJSON(t *testing.T) {
	if _, err := runcspec.Relax([]byte("{")); err == nil {
		t.Error("Relax of half a document: want an error")
	}
}

func TestFiles(t *testing.T) {
	tests := map[string]struct{ args, want []string }{
		"create":        {[]string{"--root", "/r", "create", "--bundle", "/b/", "id"}, []string{"/b/config.json"}},
		"run, joined":   {[]string{"run", "--bundle=/b", "id"}, []string{"/b/config.json"}},
		"exec":          {[]string{"exec", "--process", "/p.json", "--detach", "id"}, []string{"/p.json"}},
		"kill":          {[]string{"kill", "id", "9"}, nil},
		"flag at end":   {[]string{"exec", "--process"}, nil},
		"no arguments":  {nil, nil},
		"short options": {[]string{"exec", "-p", "/p.json", "id"}, []string{"/p.json"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, runcspec.Files(tt.args)); diff != "" {
				t.Errorf("Files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBoundingLacks(t *testing.T) {
	tests := map[string]struct {
		status string
		want   bool
	}{
		"all capabilities":     {"Name:\tx\nCapBnd:\t000001ffffffffff\n", false},
		"without SYS_RESOURCE": {"CapBnd:\t000001fffeffffff\n", true},
		"not said":             {"Name:\tx\n", false},
		"not a number":         {"CapBnd:\tnone\n", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := runcspec.BoundingLacks([]byte(tt.status)); got != tt.want {
				t.Errorf("BoundingLacks = %t, want %t", got, tt.want)
			}
		})
	}
}
