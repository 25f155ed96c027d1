//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
	"kiln/internal/scaleset"
)

// Jobs of a runner that TestCleanup plays. make e2e-long runs the test ten times.
const (
	fewJobs  = 8
	manyJobs = 50
)

// TestCleanup ends each of many jobs as the stock hook does, right after a step
// of kiln's that ended by itself, failed, or was cancelled in one of its phases:
// whatever of the step is still going then must not be in the hook's way. The
// steps of ready images are kiln's too beside the stock hook, which leaves those
// that are cancelled running; of kiln's, nothing is left.
func TestCleanup(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "cleanup", func(_ suite.Stage, o *harness.PodOptions) {
		o.Mode, o.Delegate = scaleset.Kubernetes, suite.DelegateRoot+"/k8s/index.js"
	})
	jobs := fewJobs
	if isLong() {
		jobs = manyJobs
	}
	steps := cleanupSteps()
	for i := range jobs {
		step := steps[i%len(steps)]
		own := jobPod(t, f, fmt.Sprintf("runner-workflow-%d", i))
		result := f.Play(t, step.step, step.files)
		if result.ExitCode != step.code {
			t.Fatalf("job %d, %s: exit code = %d, want %d:\n%s", i, step.name, result.ExitCode, step.code, outcome.Tail(result.Log))
		}
		deleted, err := stockCleanup(t.Context(), f)
		if err != nil {
			t.Errorf("job %d, %s: cleanup_job fails: %v", i, step.name, err)
		}
		if len(deleted) != 1 || deleted[0] != own {
			t.Errorf("job %d, %s: cleanup_job deleted %v, want the job's own pod alone", i, step.name, deleted)
		}
	}
	t.Run("nothing is left", f.WantNothingLeft)
}

// cleanupStep is a step and the code that it ends with.
type cleanupStep struct {
	name  string
	step  runner.Step
	files harness.Files
	code  int
}

// cleanupSteps are the steps that the jobs of TestCleanup have in turn.
func cleanupSteps() []cleanupStep {
	play := func(script string) runner.Step {
		return runner.Step{Repository: "acme/app", Image: "busybox", EntryPoint: "sh", Args: []string{"-c", script}}
	}
	cancelled := func(script string) runner.Step {
		s := play(script)
		s.Interrupt = runner.Cancel("working")
		return s
	}
	build, files := sample.Build("cleanup", "FROM busybox\nENTRYPOINT [\"true\"]\n")
	return []cleanupStep{
		{name: "ended", step: play("echo done")},
		{name: "failed", step: play("exit 3"), code: 3},
		{name: "built or reused", step: build, files: files},
		{name: "cancelled, ends at once", step: cancelled(`trap "exit 0" TERM; echo working; while :; do sleep 0.1; done`), code: 130},
		{name: "cancelled, ignores it", step: cancelled(`trap "" INT TERM; echo working; while :; do sleep 1; done`), code: 130},
	}
}

// jobPod stands in for the pod of a job as prepare_job makes it: with the label
// by which cleanup_job finds it.
func jobPod(t *testing.T, f *suite.Fixture, name string) string {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"runner-pod": f.Pod}},
		Spec: corev1.PodSpec{
			// Nothing has to run in it, so no node takes it.
			NodeSelector: map[string]string{"kiln-e2e": "nowhere"},
			Containers:   []corev1.Container{{Name: "main", Image: f.Busybox()}},
		},
	}
	if _, err := f.Kube.CoreV1().Pods(f.Namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return "pod/" + name
}

// stockCleanup does what cleanup_job of the stock hook does: it lists the pods,
// then the Secrets, with the runner's label and deletes each of them, the pods
// without grace. What is gone meanwhile fails it (actions/runner-container-hooks,
// packages/k8s/src/k8s/index.ts, prunePods and pruneSecrets).
func stockCleanup(ctx context.Context, f *suite.Fixture) (deleted []string, err error) {
	label := metav1.ListOptions{LabelSelector: "runner-pod=" + f.Pod}
	pods, err := f.Kube.CoreV1().Pods(f.Namespace).List(ctx, label)
	if err != nil {
		return nil, err
	}
	for _, pod := range pods.Items {
		now := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
		if err := f.Kube.CoreV1().Pods(f.Namespace).Delete(ctx, pod.Name, now); err != nil {
			return deleted, err
		}
		deleted = append(deleted, "pod/"+pod.Name)
	}
	secrets, err := f.Kube.CoreV1().Secrets(f.Namespace).List(ctx, label)
	if err != nil {
		return deleted, err
	}
	for _, secret := range secrets.Items {
		if err := f.Kube.CoreV1().Secrets(f.Namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{}); err != nil {
			return deleted, err
		}
		deleted = append(deleted, "secret/"+secret.Name)
	}
	return deleted, nil
}
