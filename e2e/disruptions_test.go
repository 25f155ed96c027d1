//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/e2e/harness"
	"kiln/internal/failure"
)

// TestDisruptions has the cluster take build pods away, in every way that a
// test can bring about: what may pass is tried again with a new pod and said
// so, and nothing is left.
func TestDisruptions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "disruptions", nil)
	node := f.nodeShell(t)
	t.Run("cases", func(t *testing.T) {
		t.Run("evicted once", func(t *testing.T) {
			t.Parallel()
			result := f.disrupt(t, "disrupt-evicted-once", 1, f.evict)
			wantSuccess(t, []*harness.Result{result})
			wantAttempts(t, result, 1, failure.Evicted)
		})
		t.Run("evicted every time", func(t *testing.T) {
			t.Parallel()
			result := f.disrupt(t, "disrupt-evicted-always", 3, f.evict)
			wantError(t, result, failure.Evicted.Mark(), "EvictionByEvictionAPI")
			wantAttempts(t, result, 2, failure.Evicted)
		})
		t.Run("deleted", func(t *testing.T) {
			t.Parallel()
			result := f.disrupt(t, "disrupt-deleted", 1, f.deleteNow)
			wantSuccess(t, []*harness.Result{result})
			wantLog(t, result, "kiln: the build pod went away, looking again")
		})
		t.Run("Kaniko killed", func(t *testing.T) {
			t.Parallel()
			result := f.disrupt(t, "disrupt-kaniko-killed", 1, node.killer("kaniko", "KILL"))
			wantSuccess(t, []*harness.Result{result})
			wantAttempts(t, result, 1, failure.Evicted)
		})
		t.Run("gate killed", func(t *testing.T) {
			t.Parallel()
			result := f.disrupt(t, "disrupt-gate-killed", 1, node.killer("gate", "KILL"))
			wantSuccess(t, []*harness.Result{result})
			// Kaniko may miss the gate before the node reports its end.
			wantAttempts(t, result, 1, failure.Evicted, failure.RegistryUnreachable)
		})
		t.Run("context cut off", func(t *testing.T) {
			t.Parallel()
			f.cutContext(t, node)
		})
	})
	f.wantNothingLeft(t)
}

// disrupt plays a build whose RUN takes a while, and calls act for the first
// build pods of it, one after the other, once that runs.
func (f *fixture) disrupt(t *testing.T, marker string, times int, act func(context.Context, *corev1.Pod) error) *harness.Result {
	t.Helper()
	step, files := plainBuild("FROM busybox\nRUN echo busy && sleep 6\nENTRYPOINT [\"true\"]\n")(marker)
	ctx, cancel := context.WithCancel(t.Context())
	acted := make(chan error, 1)
	go func() { acted <- f.actOnBuilds(ctx, marker, times, act) }()
	result, err := f.Step(t.Context(), step, files, nil)
	cancel()
	if acting := <-acted; acting != nil {
		t.Errorf("%v; the step's log:\n%s", acting, tail(result.Log))
	}
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// actOnBuilds waits for the RUN of each of the first build pods and acts on it.
func (f *fixture) actOnBuilds(ctx context.Context, marker string, times int, act func(context.Context, *corev1.Pod) error) error {
	seen := map[types.UID]bool{}
	for len(seen) < times {
		pod, err := f.busyBuild(ctx, marker, "busy\n", seen)
		if err != nil {
			return fmt.Errorf("after %d of %d disruptions: %w", len(seen), times, err)
		}
		if err := act(ctx, pod); err != nil {
			return fmt.Errorf("disrupt %s: %w", pod.Name, err)
		}
		seen[pod.UID] = true
	}
	return nil
}

// busyBuild waits for a build pod with the marker that is not in seen and whose
// Kaniko has logged text; no text is a container that runs.
func (f *fixture) busyBuild(ctx context.Context, marker, text string, seen map[types.UID]bool) (*corev1.Pod, error) {
	for {
		s, found := f.lastOf("kaniko", marker)
		if found && !seen[s.Pod.UID] && s.Pod.DeletionTimestamp == nil && running(s.Pod, "kaniko") && f.logged(ctx, s.Pod.Name, "kaniko", text) {
			return s.Pod, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// running reports whether a container runs.
func running(pod *corev1.Pod, name string) bool {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == name {
			return status.State.Running != nil
		}
	}
	return false
}

// logged reports whether a container's log has the text by now.
func (f *fixture) logged(ctx context.Context, pod, name, text string) bool {
	log, err := f.Kube.CoreV1().Pods(f.Namespace).GetLogs(pod, &corev1.PodLogOptions{Container: name}).DoRaw(ctx)
	return err == nil && bytes.Contains(log, []byte(text))
}

// evict asks for an eviction, as a drain does.
func (f *fixture) evict(ctx context.Context, pod *corev1.Pod) error {
	return f.Kube.PolicyV1().Evictions(f.Namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}})
}

// deleteNow takes a pod out of the API at once, as the garbage collector does
// with those of a node that is gone.
func (f *fixture) deleteNow(ctx context.Context, pod *corev1.Pod) error {
	return f.Kube.CoreV1().Pods(f.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
}

// cutContext kills Kaniko in the middle of its context. On a busy node the
// context may be faster than the stop; then it is another attempt's turn.
func (f *fixture) cutContext(t *testing.T, node nodeShell) {
	t.Helper()
	var result *harness.Result
	for try := range 3 {
		result = f.cutOnce(t, node, fmt.Sprintf("disrupt-context-%d", try))
		wantSuccess(t, []*harness.Result{result})
		wantAttempts(t, result, 1, failure.ContextTransport, failure.Evicted)
		if strings.Contains(result.Log, failure.ContextTransport.Mark()) {
			return
		}
	}
	t.Errorf("no context was cut off:\n%s", tail(result.Log))
}

// cutOnce plays a build whose Kaniko is stopped before it has read its context,
// and killed when that is stuck half-way.
func (f *fixture) cutOnce(t *testing.T, node nodeShell, marker string) *harness.Result {
	t.Helper()
	step, files := plainBuild("FROM busybox\nENTRYPOINT [\"true\"]\n")(marker)
	dir := workFolder + "/" + strings.TrimSuffix(step.Dockerfile, "/Dockerfile")
	if _, err := f.Run(t.Context(), "sh", "-c", `mkdir -p "$1" && head -c 32M /dev/urandom >"$1/big"`, "sh", dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	acted := make(chan error, 1)
	go func() {
		acted <- func() error {
			pod, err := f.busyBuild(ctx, marker, "", nil)
			if err == nil {
				err = node.signal(ctx, pod, "kaniko", "STOP")
			}
			for err == nil && !f.logged(ctx, pod.Name, "gate", "listening") {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			time.Sleep(3 * time.Second) // it takes a moment to get stuck, and tells nobody
			return node.signal(ctx, pod, "kaniko", "KILL")
		}()
	}()
	result, err := f.Step(t.Context(), step, files, nil)
	cancel()
	if acting := <-acted; acting != nil {
		t.Error(acting)
	}
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// wantAttempts fails the test unless the log tells that many failed attempts
// before the last one, each with one of the reasons.
func wantAttempts(t *testing.T, result *harness.Result, want int, reasons ...failure.Reason) {
	t.Helper()
	got := 0
	for line := range strings.Lines(result.Log) {
		if strings.HasPrefix(line, "kiln: attempt ") && strings.Contains(line, " failed: ") {
			got++
			if !slices.ContainsFunc(reasons, func(r failure.Reason) bool { return strings.Contains(line, r.Mark()) }) {
				t.Errorf("%q does not say one of %v", line, reasons)
			}
		}
	}
	if got != want {
		t.Errorf("the log tells %d failed attempts, want %d:\n%s", got, want, tail(result.Log))
	}
}

// nodeShell is a pod that sees all processes of its node.
type nodeShell struct {
	stage
	namespace string
}

// nodeShell starts such a pod in a namespace of its own, since kiln's does not
// let it in.
func (f *fixture) nodeShell(t *testing.T) nodeShell {
	t.Helper()
	namespace := f.Namespace + "-node"
	labels := map[string]string{"kiln-harness": "true", "pod-security.kubernetes.io/enforce": "privileged"}
	_, err := f.Kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: labels}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.DeleteNamespace(context.Background(), namespace); err != nil {
			t.Error(err)
		}
	})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "shell"},
		Spec: corev1.PodSpec{
			NodeName: f.pod(t, f.Pod).Spec.NodeName, HostPID: true, TerminationGracePeriodSeconds: new(int64(0)),
			AutomountServiceAccountToken: new(false),
			Containers: []corev1.Container{{
				Name: "shell", Image: f.images.Runner, Command: []string{"sleep", "3600"},
				SecurityContext: &corev1.SecurityContext{Privileged: new(true), RunAsUser: new(int64(0))},
			}},
		},
	}
	if _, err := f.Kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err = f.Await(t.Context(), namespace, pod.Name, func(pod *corev1.Pod) (bool, error) { return running(pod, "shell"), nil })
	if err != nil {
		t.Fatal(err)
	}
	return nodeShell{f.stage, namespace}
}

// killer returns what sends a signal to a container of a pod.
func (n nodeShell) killer(name, signal string) func(context.Context, *corev1.Pod) error {
	return func(ctx context.Context, pod *corev1.Pod) error { return n.signal(ctx, pod, name, signal) }
}

// signal sends a signal to every process of a container.
func (n nodeShell) signal(ctx context.Context, pod *corev1.Pod, name, signal string) error {
	id := ""
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == name {
			_, id, _ = strings.Cut(status.ContainerID, "://")
		}
	}
	const script = `found=; for p in $(grep -l -- "$1" /proc/[0-9]*/cgroup); do p=${p#/proc/}; kill -s "$2" "${p%/cgroup}" && found=1; done; test "$found"`
	var out bytes.Buffer
	err := n.Exec(ctx, harness.Exec{
		Namespace: n.namespace, Pod: "shell", Container: "shell",
		Command: []string{"sh", "-c", script, "sh", id, signal}, Stdout: &out, Stderr: &out,
	})
	if err != nil || id == "" {
		return fmt.Errorf("signal %s to container %q: %w: %s", signal, id, err, out.String())
	}
	return nil
}
