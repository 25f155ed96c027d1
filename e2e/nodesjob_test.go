//go:build e2e

package e2e_test

import (
	"encoding/json"
	"path"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// testJobElsewhere has the runner on one node and all pods of a job on the other. What
// they share is the work volume, a file system that each node mounts for itself: the
// agent's socket is there and leads nowhere, and steps go over the network.
func testJobElsewhere(t *testing.T, home string, node corev1.Node) {
	shared := suite.Open(t).Shared
	if shared == "" {
		t.Skip("KILN_E2E_SHARED is not set")
	}
	template := "spec: {nodeSelector: {kubernetes.io/hostname: " + node.Labels[corev1.LabelHostname] + "}}"
	f := suite.New(t, "elsewhere", func(s suite.Stage, o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{"KILN_PLACEMENT": "anywhere"}
		o.BuildTemplate, o.HookTemplate = template, template
		claim := s.AddVolume(t, path.Base(o.RegistryHost), shared)
		o.Adjust = func(pod *corev1.Pod) {
			s.UseVolume(pod, claim)
			pinTo(pod, home)
		}
	})
	defer f.ClearWork(t)
	noteServices(t, f, "db-1", "db-2")
	job := debianJob()
	job.Services = []runner.Service{serverOf("psql-a", "5432", reaching("db-2:5432")), serverOf("psql-b", "5432", healthy)}
	j := f.Prepare(t, job, nodes())
	placeNodes(t, f)
	wantDoor(t, j, "tcp")
	for _, tt := range jobScripts() {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, j) })
	}
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *suite.Fixture, *suite.Job)
	}{
		{"one container", oneContainer},
		{"workspace", workspaceOfJob},
		{"file commands", fileCommandsOfJob},
		{"live", liveOfJob},
		{"JavaScript", javaScriptElsewhere},
		{"large output", outputElsewhere},
		{"background process", backgroundOfJob},
		{"background steps", stepsAtOnce},
		{"cancelled", cancelledOfJob},
		{"container actions", servicesForActions},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, f, j) })
	}
	j.End(t)
	f.WantNothingLeft(t)
	wantAllOn(t, f, node.Name)
	if left, err := f.Run(t.Context(), "find", suite.WorkFolder+"/_kiln"); err == nil {
		t.Errorf("left on the work volume: %s", left)
	}
}

// wantDoor fails the test unless steps of the job go that way.
func wantDoor(t *testing.T, j *suite.Job, want string) {
	t.Helper()
	var state struct{ Kiln struct{ Door string } }
	if err := json.Unmarshal(j.State(), &state); err != nil || state.Kiln.Door != want {
		t.Errorf("steps go by %q, %v; want %q", state.Kiln.Door, err, want)
	}
}

// outputElsewhere: nothing of 10 MB is missing.
func outputElsewhere(t *testing.T, _ *suite.Fixture, j *suite.Job) { wantOutput(t, j, 100_000) }

// javaScriptElsewhere: an action runs with the Node.js that comes by the work volume.
func javaScriptElsewhere(t *testing.T, _ *suite.Fixture, j *suite.Job) {
	result := j.Play(t, j.Step(runner.Script{Node: "node20", Main: "x.js"}), nil)
	outcome.Lines(t, result, `kiln: brought node20 to the job container \(0 MB in .*\)`, "node20/bin/node /__e/node20/bin/node /__w/x.js")
}

// wantAllOn fails the test unless every pod but the runner's ran on the node: job and
// actions, each service in a pod of its own, and a build.
func wantAllOn(t *testing.T, f *suite.Fixture, node string) {
	t.Helper()
	on := map[string]string{}
	for _, s := range f.Seen.Sightings() {
		if s.Pod.Name != f.Pod && s.Pod.Spec.NodeName != "" {
			on[s.Pod.Name] = s.Pod.Spec.NodeName
		}
	}
	if len(on) < 5 { // the job, two services or one, two actions, a build
		t.Errorf("saw %d pods beside the runner's: %v", len(on), on)
	}
	for pod, got := range on {
		if got != node {
			t.Errorf("pod %s ran on %s, want %s", pod, got, node)
		}
	}
}
