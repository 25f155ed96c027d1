package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRunRefusesWrongCalls(t *testing.T) {
	tests := map[string]struct {
		args []string
		dir  string
		want string
	}{
		"unknown command": {[]string{"start"}, "/d", "unknown command"},
		"unknown flag":    {[]string{"up", "--nope"}, "/d", "not defined"},
		"relative dir":    {[]string{"status"}, "d", "absolute"},
		"no nodes":        {[]string{"up", "--nodes", "0"}, "/d", "--nodes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KILN_CLUSTER_DIR", tt.dir)
			var out, errs bytes.Buffer
			code, err := run(t.Context(), tt.args, &out, &errs)
			if code != 2 || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("run = %d, %v; want 2 and %q", code, err, tt.want)
			}
		})
	}
}

func TestRunWithoutACommandPrintsUsage(t *testing.T) {
	var out, errs bytes.Buffer
	if code, err := run(t.Context(), nil, &out, &errs); code != 0 || err != nil {
		t.Errorf("run = %d, %v", code, err)
	}
	if !strings.Contains(errs.String(), "usage: kiln-cluster") {
		t.Errorf("printed %q, want the usage", errs.String())
	}
}

func TestStatusOfNoCluster(t *testing.T) {
	t.Setenv("KILN_CLUSTER_DIR", t.TempDir())
	t.Setenv("DOCKER_HOST", "unix:///nonexistent")
	var out, errs bytes.Buffer
	if code, err := run(t.Context(), []string{"status"}, &out, &errs); code != exitNotRunning || err == nil {
		t.Errorf("run = %d, %v; want %d", code, err, exitNotRunning)
	}
}

func TestSplitName(t *testing.T) {
	tests := map[string]struct{ args, own, rest []string }{
		"kubectl's own flags": {[]string{"-n", "x", "get", "pods"}, nil, []string{"-n", "x", "get", "pods"}},
		"a name":              {[]string{"--name", "two", "get"}, []string{"--name", "two"}, []string{"get"}},
		"a joined name":       {[]string{"--name=two", "get"}, []string{"--name=two"}, []string{"get"}},
		"a separator":         {[]string{"--", "--name", "x"}, nil, []string{"--name", "x"}},
		"nothing":             {nil, nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			own, rest := splitName(tt.args)
			if diff := cmp.Diff([][]string{tt.own, tt.rest}, [][]string{own, rest}); diff != "" {
				t.Errorf("splitName (-want +got):\n%s", diff)
			}
		})
	}
}
