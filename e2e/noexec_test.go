//go:build e2e

package e2e_test

import (
	"path"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// TestNoExec has a work volume from which no program can be started, as the local
// cluster's nodes have their /tmp. The job container's process comes by an init
// container; scripts are read by programs of the image, and all else is as anywhere.
func TestNoExec(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "noexec", func(s suite.Stage, o *harness.PodOptions) {
		claim := s.AddVolume(t, path.Base(o.RegistryHost), "/tmp")
		o.Adjust = func(pod *corev1.Pod) { s.UseVolume(pod, claim) }
	})
	defer f.ClearWork(t)
	if options, err := f.Run(t.Context(), "sh", "-c", `awk '$2 == "'$1'" { print $4 }' /proc/mounts`, "sh", suite.WorkFolder); err != nil || !strings.Contains(options, "noexec") {
		t.Skipf("the nodes' /tmp is mounted %s, %v", options, err)
	}
	job := debianJob()
	job.Services = []runner.Service{serverOf("db", "5432", healthy)}
	j := f.Prepare(t, job, nodes())
	wantDoor(t, j, "socket")
	outcome.OwnLog(t, j.Run(t, "cp /bin/true here\n./here 2>/dev/null || echo $?\n"+client+"db 5432\nexit 0\n"), "126\ndb\n")
	outcome.Error(t, j.Play(t, j.Step(runner.Script{Node: "node20", Main: "x.js"}), nil), "noexec")
	outcome.OwnLog(t, j.Play(t, sample.Ready("ready", "echo of an action"), nil), "of an action\n")
	j.End(t)
	if init := f.Seen.With("job")[0].Spec.InitContainers; len(init) != 1 || init[0].Name != "kiln-agent" {
		t.Errorf("init containers of the job's pod: %v", init)
	}
	f.WantNothingLeft(t)
}
