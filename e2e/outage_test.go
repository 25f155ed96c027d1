//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// TestOutage stops the API server under a step of a job container, for a time that the
// cluster's other parts can bear: the step does not notice. No other test runs meanwhile.
func TestOutage(t *testing.T) { //nolint:paralleltest // it takes the API server from all
	f := suite.New(t, "outage", nil)
	node := startNodeShell(t, f)
	j := f.Prepare(t, debianJob(), nil)
	const script = "echo begun\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1; echo $i; done\nexit 3\n"
	step := j.Start(t.Context(), j.Step(runner.Script{Text: script}), nil)
	step.Await(t, "begun\n")
	node.stopServer(t)
	result := step.Wait(t)
	if want := "begun\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n"; result.ExitCode != 3 || result.Log != want {
		t.Errorf("exit code %d, want 3; log %q", result.ExitCode, result.Log)
	}
	if result.Duration > 17*time.Second {
		t.Errorf("a step of 12 s took %v", result.Duration)
	}
	outcome.OwnLog(t, j.Run(t, "echo on"), "on\n")
	j.End(t)
}

// errAnswers says that the API server is not stopped.
var errAnswers = errors.New("the API server answers")

// stopServer stops the API server of the node for eight seconds and returns when it has
// answered nothing. It skips the test where the server is not on the node.
func (n nodeShell) stopServer(t *testing.T) {
	t.Helper()
	const script = `p=$(grep -lx kube-apiserver /proc/[0-9]*/comm) || exit 3
p=${p#/proc/}; p=${p%/comm}
setsid sh -c "sleep 1; kill -STOP $p; sleep 8; kill -CONT $p" >/dev/null 2>&1 &`
	var out bytes.Buffer
	err := n.Exec(t.Context(), harness.Exec{
		Namespace: n.namespace, Pod: "shell", Container: "shell", Command: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out,
	})
	if err != nil {
		t.Skipf("no API server on the node of the test: %v: %s", err, out.String())
	}
	err = harness.Eventually(t.Context(), 8*time.Second, func(ctx context.Context) error {
		asking, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if _, err := n.Kube.CoreV1().Namespaces().Get(asking, n.namespace, metav1.GetOptions{}); err == nil || ctx.Err() != nil {
			return errAnswers
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
