//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// bringCountingNode gives the runner a Node.js that counts.
func bringCountingNode(t *testing.T, f *suite.Fixture) {
	t.Helper()
	node := externals + "/node20/bin/node"
	script := "mkdir -p " + externals + "/node20/bin && printf '#!/bin/sh\n%s\n' \"$1\" >" + node + " && chmod 755 " + node
	if out, err := f.Run(t.Context(), "sh", "-c", script, "sh", counting("ran", 40)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// job plays a job with a container: a run: step, a JavaScript action and a container
// action at once. Every second one has a service, which the run: step asks in the end, and
// of every fourth the job container's pod is deleted under its steps.
func (c *chaos) job(t *testing.T, f *suite.Fixture, n int) {
	job, ask := debianJob(), ""
	if n%2 == 1 {
		job.Services = []runner.Service{serverOf("db", "5432", healthy)}
		ask = "; [ \"$(" + client + "db 5432)\" = db ]"
	}
	j, prepared := f.TryPrepare(t, job, nil)
	if prepared.ExitCode != 0 {
		t.Errorf("prepare_job:\n%s", outcome.Tail(prepared.Log))
		return
	}
	if n%4 == 3 {
		c.deleteJob(t, f, j)
	} else {
		run := j.Start(t.Context(), j.Step(runner.Script{Text: counting("ran", 50) + ask}), nil)
		node := j.Start(t.Context(), j.Step(runner.Script{Node: "node20", Main: "_actions/acme/js/v1/index.js"}), nil)
		action := j.Start(t.Context(), sample.Ready(marker("of-job", n), counting("ran", 30)), nil)
		c.want(t, run, 0, 50)
		c.want(t, node, 0, 40)
		c.want(t, action, 0, 30)
	}
	ended := f.Play(t, runner.Step{Command: runner.CleanupJob, State: j.State()}, nil)
	if ended.ExitCode != 0 {
		t.Errorf("cleanup_job:\n%s", outcome.Tail(ended.Log))
	}
}

// deleteJob deletes the pod of a job container under its step: it and the next one fail,
// and say why.
func (c *chaos) deleteJob(t *testing.T, f *suite.Fixture, j *suite.Job) {
	t.Helper()
	running := j.Start(t.Context(), j.Step(runner.Script{Text: counting("ran", 600)}), nil)
	running.Await(t, "ran 5\n")
	pod := j.Response.Container.Network
	if err := f.Kube.CoreV1().Pods(f.Namespace).Delete(t.Context(), pod, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	c.mu.Lock()
	c.jobs++
	c.mu.Unlock()
	c.want(t, running, 137, -1)
	next := j.Start(t.Context(), j.Step(runner.Script{Text: "echo ran 1"}), nil)
	c.want(t, next, 137, -1)
	if result, err := next.End(); err == nil && strings.Contains(result.Log, "ran 1\n") {
		t.Errorf("a step ran in a container that is gone:\n%s", result.Log)
	}
}
