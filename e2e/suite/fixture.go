package suite

import (
	"context"
	"testing"

	"kiln/e2e/harness"
)

// A Fixture is a namespace with kiln and a running runner pod. Steps may be played in it
// at the same time.
type Fixture struct {
	Stage
	*harness.Runner
	// Seen has seen every state of every pod of the namespace.
	Seen *harness.Observer
	// Installed is what the chart made.
	Installed *harness.Installation
}

// New installs the chart in a namespace of its own and starts a runner pod there. The
// name is part of the namespace's; adjust, which may be nil, changes the values of the
// chart and the pod.
func New(t *testing.T, name string, adjust func(Stage, *harness.PodOptions)) *Fixture {
	t.Helper()
	s := Open(t)
	namespace := s.NewNamespace(t, name)
	seen, err := s.Observe(context.Background(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(seen.Stop)
	options := harness.PodOptions{Name: "runner", Images: s.Images, RegistryHost: s.Registry + "/" + namespace}
	if adjust != nil {
		adjust(s, &options)
	}
	if options.Installed, err = s.Install(t.Context(), harness.Helm4, namespace, options); err != nil {
		t.Fatal(err)
	}
	runner, err := s.StartRunner(t.Context(), namespace, options)
	if err != nil {
		t.Fatal(err)
	}
	return &Fixture{Stage: s, Runner: runner, Seen: seen, Installed: options.Installed}
}

// Options are those of a further runner pod in the fixture's namespace.
func (f *Fixture) Options(name string) harness.PodOptions {
	return harness.PodOptions{
		Name: name, Images: f.Images, Installed: f.Installed, RegistryHost: f.Registry + "/" + f.Namespace,
	}
}

// Beside is the fixture with another runner pod of its namespace.
func (f *Fixture) Beside(r *harness.Runner) *Fixture {
	return &Fixture{Stage: f.Stage, Runner: r, Seen: f.Seen, Installed: f.Installed}
}

// Another starts a further runner pod in the fixture's namespace.
func (f *Fixture) Another(t *testing.T, name string, adjust func(*harness.PodOptions)) *Fixture {
	t.Helper()
	o := f.Options(name)
	adjust(&o)
	r, err := f.StartRunner(t.Context(), f.Namespace, o)
	if err != nil {
		t.Fatal(err)
	}
	return f.Beside(r)
}
