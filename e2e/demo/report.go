package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
)

// showResults prints what the runner container has of the steps.
func showResults(w io.Writer, results []*harness.Result) {
	fmt.Fprintln(w, "\nRead back in the runner container")
	for _, r := range results {
		fmt.Fprintf(w, "  exit code %d\n", r.ExitCode)
		for _, kind := range []struct {
			name   string
			values map[string]string
		}{{"output", r.Outputs}, {"env", r.Env}, {"state", r.State}} {
			for _, name := range slices.Sorted(maps.Keys(kind.values)) {
				fmt.Fprintf(w, "  %s %s = %s\n", kind.name, name, kind.values[name])
			}
		}
		if r.Summary != "" {
			fmt.Fprintf(w, "  summary %s", r.Summary)
		}
	}
}

// A phase ends when something is first seen of the first step's pods.
type phase struct {
	name string
	took time.Duration
}

// phases splits the first step by what was seen of its pods from outside.
// What was not seen, as after a failed build, has no phase.
func phases(seen *harness.Observer, began time.Time) []phase {
	exists := func(*corev1.Pod) bool { return true }
	var out []phase
	last := began
	for _, mark := range []struct {
		name, container string
		state           func(*corev1.Pod) bool
	}{
		{"staged, handed over, build pod created", "kaniko", exists},
		{"build pod scheduled and started", "kaniko", harness.Running("kaniko")},
		{"built and pushed, action Job and pod created", "job", exists},
		{"image pulled, action started", "job", harness.Running("job")},
		{"action ran", "job", harness.Terminated("job")},
	} {
		if at, ok := seen.First(mark.container, mark.state); ok && at.After(last) {
			out = append(out, phase{mark.name, at.Sub(last)})
			last = at
		}
	}
	return out
}

func showPhases(w io.Writer, phases []phase, results []*harness.Result) {
	fmt.Fprintln(w, "\nWhat took how long (first step, as seen from outside)")
	for _, p := range phases {
		fmt.Fprintf(w, "  %6.1fs  %s\n", p.took.Seconds(), p.name)
	}
	fmt.Fprintf(w, "  %6.1fs  the whole step, in the hook\n", results[0].Duration.Seconds())
}

// showWayAround prints commands that work in the shell that ran the demo.
func showWayAround(w io.Writer, cluster *harness.Cluster) {
	kubectl := kubectlCommand(cluster) + " -n " + namespace
	fmt.Fprintf(w, `
Look around
  %[1]s get pods --watch                     # in a second terminal, then run the demo again
  %[1]s logs runner -c kiln                  # what the daemon did
  %[1]s describe pod runner                  # the runner pod as Actions Runner Controller builds it
  %[1]s exec runner -c runner -- ls -lR /home/runner/_work/_temp
  hack/with-cluster go run ./e2e/demo examples/actions/word-count --with file=README.md
  %[1]s delete pod runner                    # the next demo starts from nothing
  make cluster-down                          # stops the local cluster
`, kubectl)
}

// kubectlCommand is how this machine reaches the cluster: the local cluster
// brings its own kubectl, any other is the caller's.
func kubectlCommand(cluster *harness.Cluster) string {
	const program = "bin/kiln-cluster"
	path, err := exec.Command(filepath.Join(cluster.Root, program), "kubeconfig").Output()
	if err == nil && strings.TrimSpace(string(path)) == os.Getenv("KUBECONFIG") {
		return program + " kubectl"
	}
	return "kubectl"
}
