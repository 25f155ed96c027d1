//go:build e2e

package e2e_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// TestJobRights has an operator and a namespace that let jobs have what they ask for. At
// the end the runner pod goes in the middle of a step, and all of its job with it.
func TestJobRights(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "job-rights", func(_ suite.Stage, o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{"KILN_JOB_RIGHTS": "any"}
	})
	lax := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
	if _, err := f.Kube.CoreV1().Namespaces().Patch(t.Context(), f.Namespace, types.MergePatchType, lax, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	job := debianJob()
	const effective = "perl -ne 'print hex($1) >> 19 & 1, hex($1) >> 21 & 1 if /^CapEff:\\s+\\w*(\\w{8})$/' /proc/self/status\n"
	for options, want := range map[string]string{"--cap-add SYS_PTRACE": "10", "--privileged": "11"} { // SYS_PTRACE, SYS_ADMIN
		job.Container.Options = options
		j := f.Prepare(t, job, nil)
		outcome.OwnLog(t, j.Run(t, effective), want)
		j.End(t)
	}
	job.Container.Options, job.Services = "", []runner.Service{serverOf("a", "1000", ""), serverOf("b", "1000", "")}
	j := f.Prepare(t, job, nil)
	step := j.Start(t.Context(), j.Step(runner.Script{Text: "echo on\nsleep 600\n"}), nil)
	step.Await(t, "on\n")
	if err := f.Kube.CoreV1().Pods(f.Namespace).Delete(t.Context(), f.Pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))}); err != nil {
		t.Fatal(err)
	}
	left, err := f.Leftovers(t.Context(), f.Namespace, time.Minute)
	if err != nil || len(left) > 0 {
		t.Errorf("left of the job a minute after its runner: %s, %v", strings.Join(left, " "), err)
	}
	_, _ = step.End() // whatever its exec came to
}
