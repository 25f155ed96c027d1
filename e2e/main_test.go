//go:build e2e

package e2e_test

import (
	"context"
	"crypto/rand"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/e2e/harness"
)

// cases is how many tests run at once unless -parallel says otherwise. They
// wait for pods more than for this machine's processors.
const cases = 5

func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{
		"test.parallel": strconv.Itoa(cases),
		"test.skip":     skipped(given["test.run"]),
	} {
		if given[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// stage is what all tests share.
type stage struct {
	*harness.Cluster
	images harness.Images
}

// open connects and builds the images, once for all tests.
var open = sync.OnceValues(func() (stage, error) {
	cluster, err := harness.Connect()
	if err != nil {
		return stage{}, err
	}
	images, err := cluster.BuildImages(context.Background())
	return stage{cluster, images}, err
})

// fixture is a namespace with a running runner pod.
type fixture struct {
	stage
	*harness.Runner
	seen      *harness.Observer
	installed *harness.Installation
}

// newFixture installs the chart in a namespace of its own and starts a runner
// pod there. The name is part of the namespace's; adjust may change the values
// of the chart and the pod.
func newFixture(t *testing.T, name string, adjust func(stage, *harness.PodOptions)) *fixture {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	namespace := "kiln-e2e-" + name + "-" + strings.ToLower(rand.Text()[:6])
	t.Cleanup(func() { s.close(t, namespace) })
	if err := s.BareNamespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	seen, err := s.Observe(context.Background(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(seen.Stop)
	options := harness.PodOptions{Name: "runner", Images: s.images, RegistryHost: s.Registry + "/" + namespace}
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
	return &fixture{stage: s, Runner: runner, seen: seen, installed: options.Installed}
}

// options are those of a further runner pod in the fixture's namespace.
func (f *fixture) options(name string) harness.PodOptions {
	return harness.PodOptions{
		Name: name, Images: f.images, Installed: f.installed, RegistryHost: f.Registry + "/" + f.Namespace,
	}
}

func (s stage) close(t *testing.T, namespace string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if t.Failed() {
		s.Dump(ctx, namespace, t.Output())
	}
	if err := s.DeleteNamespace(ctx, namespace); err != nil {
		t.Error(err)
	}
}

// example and testdata are the directories of actions.
func (s stage) example(name string) string {
	return filepath.Join(s.Root, "examples", "actions", name)
}

func (s stage) testdata(name string) string {
	return filepath.Join(s.Root, "e2e", "testdata", "actions", name)
}

// use is play for the test's own goroutine: it fails the test on an error.
func (f *fixture) use(t *testing.T, dir string, u harness.Use, more harness.Files) []*harness.Result {
	t.Helper()
	results, err := f.play(t.Context(), dir, u, more)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// play plays all stages of an action, one after the other, and carries its
// state from one to the next as the runner does. It stops after one that fails.
func (f *fixture) play(ctx context.Context, dir string, u harness.Use, more harness.Files) ([]*harness.Result, error) {
	action, err := harness.ReadAction(dir)
	if err != nil {
		return nil, err
	}
	files, err := action.Files(u)
	if err != nil {
		return nil, err
	}
	maps.Copy(files, more)
	var results []*harness.Result
	state := map[string]string{}
	for _, stage := range action.Stages(u) {
		step := action.Step(stage, u)
		for name, value := range state {
			step.Env["STATE_"+name] = value
		}
		result, err := f.Step(ctx, step, files, nil)
		if err != nil {
			return nil, err
		}
		maps.Copy(state, result.State)
		results = append(results, result)
		if result.ExitCode != 0 {
			break
		}
	}
	return results, nil
}

// wantNothingLeft fails the test if steps that have ended left something in
// the namespace or in the exchange.
func (f *fixture) wantNothingLeft(t *testing.T) {
	t.Helper()
	// On a busy node the kubelet takes several of its rounds of ten seconds to
	// report that a pod is gone. How soon pods end is TestCancelPhases's.
	left, err := f.Leftovers(t.Context(), f.Namespace, time.Minute)
	if err != nil {
		t.Error(err)
	}
	if len(left) > 0 {
		t.Errorf("left in the namespace: %v", left)
	}
	f.wantEmptyExchange(t)
}

func (f *fixture) wantEmptyExchange(t *testing.T) {
	t.Helper()
	var left []string
	// The daemon clears its side after the shim has left.
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		var err error
		if left, err = f.Exchange(t.Context()); err != nil {
			t.Error(err)
			return
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("left in the exchange: %v", left)
}

// wantLog fails the test unless the step's log contains every text.
func wantLog(t *testing.T, result *harness.Result, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(result.Log, text) {
			t.Errorf("log has no %q:\n%s", text, tail(result.Log))
		}
	}
}

// wantError fails the test unless the step failed and said why in one error
// command that contains every text.
func wantError(t *testing.T, result *harness.Result, texts ...string) {
	t.Helper()
	if result.ExitCode == 0 {
		t.Errorf("exit code = 0, want another:\n%s", tail(result.Log))
	}
	errors := errorLines(result.Log)
	if len(errors) != 1 {
		t.Errorf("log has %d error commands, want 1:\n%s", len(errors), tail(result.Log))
		return
	}
	for _, text := range texts {
		if !strings.Contains(errors[0], text) {
			t.Errorf("error %q does not say %q", errors[0], text)
		}
	}
}

// tail is the end of a log, short enough for a failure message.
func tail(log string) string {
	const limit = 8 << 10
	if len(log) <= limit {
		return log
	}
	return "…" + log[len(log)-limit:]
}
