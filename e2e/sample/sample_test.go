package sample

import (
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// TestFiles wants each step's Dockerfile among its files.
func TestFiles(t *testing.T) {
	tests := map[string]func() (runner.Step, harness.Files){
		"build":   func() (runner.Step, harness.Files) { return Build("word", "FROM busybox\n") },
		"shared":  func() (runner.Step, harness.Files) { return Shared("word", Ticking(3)) },
		"greeter": func() (runner.Step, harness.Files) { return Greeter("word") },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			step, files := make()
			if text := string(files[step.Dockerfile].Data); !strings.HasPrefix(text, "FROM busybox\n") {
				t.Errorf("%s is %q", step.Dockerfile, text)
			}
		})
	}
}

// TestSharedNames wants two names to be two images, by what is in their contexts.
func TestSharedNames(t *testing.T) {
	_, one := Shared("one", "true")
	_, two := Shared("two", "true")
	if a, b := one["_actions/acme/one/v1/name"], two["_actions/acme/two/v1/name"]; string(a.Data) == string(b.Data) || len(a.Data) == 0 {
		t.Errorf("the contexts have the names %q and %q", a.Data, b.Data)
	}
}

func TestMarkers(t *testing.T) {
	if step, _ := Build("mark", ""); !strings.Contains(step.Dockerfile, "mark") {
		t.Errorf("the Dockerfile %s has no marker", step.Dockerfile)
	}
	if step := Ready("mark", "true"); step.Args[len(step.Args)-1] != "mark" {
		t.Errorf("the arguments %q have no marker", step.Args)
	}
}
