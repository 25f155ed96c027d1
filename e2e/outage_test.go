//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// TestOutage takes the API server from the runner pod for more than two minutes: a step of
// a job container begins and ends meanwhile, and the next one, and an action that prints
// and ends meanwhile is told of afterwards. The rest of the cluster keeps the server.
func TestOutage(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "outage", nil)
	node := startNodeShell(t, f)
	j := f.Prepare(t, debianJob(), nil)
	const script = "echo begun\nsleep 130\necho on\nexit 3\n"
	step := j.Start(t.Context(), j.Step(runner.Script{Text: script}), nil)
	step.Await(t, "begun\n")
	action := j.Start(t.Context(), sample.Shell("debian:bookworm-slim", "echo acting; sleep 60; echo acted"), nil)
	action.Await(t, "acting\n")
	pod := f.PodNow(t, f.Pod)
	restore := node.cut(t, pod)
	result := step.Wait(t)
	if want := "begun\non\n"; result.ExitCode != 3 || result.Log != want {
		t.Errorf("exit code %d, want 3; log %q", result.ExitCode, result.Log)
	}
	outcome.OwnLog(t, j.Run(t, "echo next\n"), "next\n")
	action.Await(t, "acted\n")
	if err := node.reach(t.Context(), pod); err == nil {
		t.Error("the API server came back under the step")
	}
	restore()
	outcome.OwnLog(t, action.Wait(t), "acting\nacted\n")
	j.End(t)
	f.WantNothingLeft(t)
}

// TestSilence: a step that prints nothing for ten minutes ends as it says.
func TestSilence(t *testing.T) {
	t.Parallel()
	long(t)
	f := suite.New(t, "silence", nil)
	j := f.Prepare(t, debianJob(), nil)
	result := j.Run(t, "sleep 600\nexit 3\n")
	if result.ExitCode != 3 || result.Log != "" {
		t.Errorf("exit code %d, want 3; log %q", result.ExitCode, result.Log)
	}
	j.End(t)
}

// cut has nothing of a pod reach the API server, nor the answers on connections that are
// open, until restore is called. It skips the test where the node has no nft.
func (n nodeShell) cut(t *testing.T, pod *corev1.Pod) (restore func()) {
	t.Helper()
	if err := n.reach(t.Context(), pod); err != nil {
		t.Fatalf("before the API server is cut off: %v", err)
	}
	const rules = "table inet outage { chain out { type filter hook output priority 0; ip daddr $KUBERNETES_SERVICE_HOST drop; }; }"
	if err := n.within(t.Context(), pod, `nft "`+rules+`"`); err != nil {
		t.Skipf("no nft on the node of the test: %v", err)
	}
	restore = func() {
		if err := n.within(context.Background(), pod, "nft delete table inet outage"); err != nil {
			t.Error(err)
		}
	}
	if err := n.reach(t.Context(), pod); err == nil {
		restore()
		t.Fatal("the API server is still in reach")
	}
	return restore
}

// reach connects to the API server from a pod's network.
func (n nodeShell) reach(ctx context.Context, pod *corev1.Pod) error {
	return n.within(ctx, pod, "timeout 2 bash -c ': </dev/tcp/$KUBERNETES_SERVICE_HOST/$KUBERNETES_SERVICE_PORT'")
}

// within runs a script with the node's programs in the network of a pod.
func (n nodeShell) within(ctx context.Context, pod *corev1.Pod, script string) error {
	id := containerID(pod, harness.RunnerContainer)
	if id == "" {
		return errors.New("the runner has no container")
	}
	const enter = `p=$(grep -l -- "$1" /proc/[0-9]*/cgroup | head -n 1) && p=${p#/proc/} && exec nsenter --target "${p%/cgroup}" --net nsenter --target 1 --mount sh -c "$2"`
	var out bytes.Buffer
	err := n.Exec(ctx, harness.Exec{
		Namespace: n.namespace, Pod: "shell", Container: "shell", Command: []string{"sh", "-c", enter, "sh", id, script}, Stdout: &out, Stderr: &out,
	})
	if err != nil {
		return errors.Join(err, errors.New(strings.TrimSpace(out.String())))
	}
	return nil
}
