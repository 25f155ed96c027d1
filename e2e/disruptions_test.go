//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
	"kiln/internal/failure"
)

// TestDisruptions has the cluster take build pods away, in every way that a
// test can bring about: what may pass is tried again with a new pod and said
// so, and nothing is left.
func TestDisruptions(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "disruptions", nil)
	node := startNodeShell(t, f)
	t.Run("cases", func(t *testing.T) {
		t.Run("evicted once", func(t *testing.T) {
			t.Parallel()
			result := disrupt(t, f, "disrupt-evicted-once", 1, evictor(f))
			outcome.Success(t, result)
			wantAttempts(t, result, 1, failure.Evicted)
		})
		t.Run("evicted every time", func(t *testing.T) {
			t.Parallel()
			result := disrupt(t, f, "disrupt-evicted-always", 3, evictor(f))
			outcome.Error(t, result, failure.Evicted.Mark(), "EvictionByEvictionAPI")
			wantAttempts(t, result, 2, failure.Evicted)
		})
		t.Run("deleted", func(t *testing.T) {
			t.Parallel()
			result := disrupt(t, f, "disrupt-deleted", 1, deleter(f))
			outcome.Success(t, result)
			outcome.Log(t, result, "kiln: the build pod went away, looking again")
		})
		t.Run("Kaniko killed", func(t *testing.T) {
			t.Parallel()
			result := disrupt(t, f, "disrupt-kaniko-killed", 1, node.killer("kaniko", "KILL"))
			outcome.Success(t, result)
			wantAttempts(t, result, 1, failure.Evicted)
		})
		t.Run("gate killed", func(t *testing.T) {
			t.Parallel()
			result := disrupt(t, f, "disrupt-gate-killed", 1, node.killer("gate", "KILL"))
			outcome.Success(t, result)
			// Kaniko may miss the gate before the node reports its end.
			wantAttempts(t, result, 1, failure.Evicted, failure.RegistryUnreachable)
		})
		t.Run("context cut off", func(t *testing.T) {
			t.Parallel()
			cutContext(t, f, node)
		})
	})
	f.WantNothingLeft(t)
}

// disrupt plays a build whose RUN takes a while, and calls act for the first
// build pods of it, one after the other, once that runs.
func disrupt(t *testing.T, f *suite.Fixture, marker string, times int, act func(context.Context, *corev1.Pod) error) *harness.Result {
	t.Helper()
	step, files := sample.Build(marker, "FROM busybox\nRUN echo busy && sleep 15\nENTRYPOINT [\"true\"]\n")
	playing := f.Start(t.Context(), step, files)
	acting := actOnBuilds(playing.While(t.Context()), f, marker, times, act)
	result := playing.Wait(t)
	if acting != nil {
		t.Errorf("%v; the step's log:\n%s", acting, outcome.Tail(result.Log))
	}
	return result
}

// actOnBuilds waits for the RUN of each of the first build pods and acts on it.
func actOnBuilds(ctx context.Context, f *suite.Fixture, marker string, times int, act func(context.Context, *corev1.Pod) error) error {
	seen := map[types.UID]bool{}
	for len(seen) < times {
		pod, err := busyBuild(ctx, f, marker, "busy\n", seen)
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
// Kaniko runs, and has logged the text if there is one.
func busyBuild(ctx context.Context, f *suite.Fixture, marker, text string, seen map[types.UID]bool) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := f.Seen.Await(ctx, func() bool {
		s, found := f.Seen.Last("kaniko", marker)
		pod = s.Pod
		return found && !seen[pod.UID] && pod.DeletionTimestamp == nil && running(pod, "kaniko")
	})
	if err == nil && text != "" {
		err = f.AwaitLog(ctx, f.Namespace, pod.Name, "kaniko", text)
	}
	return pod, err
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

// evictor asks for an eviction, as a drain does.
func evictor(f *suite.Fixture) func(context.Context, *corev1.Pod) error {
	return func(ctx context.Context, pod *corev1.Pod) error {
		return f.Kube.PolicyV1().Evictions(f.Namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}})
	}
}

// deleter takes a pod out of the API at once, as the garbage collector does
// with those of a node that is gone.
func deleter(f *suite.Fixture) func(context.Context, *corev1.Pod) error {
	return func(ctx context.Context, pod *corev1.Pod) error {
		return f.Kube.CoreV1().Pods(f.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	}
}

// cutContext kills Kaniko in the middle of its context. On a busy node the
// context may be faster than the stop; then it is another attempt's turn.
func cutContext(t *testing.T, f *suite.Fixture, node nodeShell) {
	t.Helper()
	var result *harness.Result
	for try := range 3 {
		result = cutOnce(t, f, node, fmt.Sprintf("disrupt-context-%d", try))
		outcome.Success(t, result)
		wantAttempts(t, result, 1, failure.ContextTransport, failure.Evicted)
		if strings.Contains(result.Log, failure.ContextTransport.Mark()) {
			return
		}
	}
	t.Errorf("no context was cut off:\n%s", outcome.Tail(result.Log))
}

// cutOnce plays a build whose Kaniko is stopped before it has read its context,
// and killed when that is stuck half-way.
func cutOnce(t *testing.T, f *suite.Fixture, node nodeShell, marker string) *harness.Result {
	t.Helper()
	step, files := sample.Build(marker, "FROM busybox\nENTRYPOINT [\"true\"]\n")
	dir := suite.WorkFolder + "/" + strings.TrimSuffix(step.Dockerfile, "/Dockerfile")
	if _, err := f.Run(t.Context(), "sh", "-c", `mkdir -p "$1" && head -c 32M /dev/urandom >"$1/big"`, "sh", dir); err != nil {
		t.Fatal(err)
	}
	playing := f.Start(t.Context(), step, files)
	if err := cut(playing.While(t.Context()), t, f, node, marker); err != nil {
		t.Error(err)
	}
	return playing.Wait(t)
}

// cut stops a build's Kaniko as soon as it runs, and kills it when a part of the context
// has reached it.
func cut(ctx context.Context, t *testing.T, f *suite.Fixture, node nodeShell, marker string) error {
	pod, err := busyBuild(ctx, f, marker, "", nil)
	if err != nil {
		return err
	}
	if err := node.signal(ctx, pod, "kaniko", "STOP"); err != nil {
		return err
	}
	if err := f.AwaitLog(ctx, f.Namespace, pod.Name, "gate", "listening"); err != nil {
		return err
	}
	if err := node.awaitStuck(ctx, pod); err != nil {
		t.Logf("the context was faster: %v", err)
	}
	return node.signal(ctx, pod, "kaniko", "KILL")
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
		t.Errorf("the log tells %d failed attempts, want %d:\n%s", got, want, outcome.Tail(result.Log))
	}
}

// nodeShell is a pod that sees all processes of its node.
type nodeShell struct {
	*harness.Cluster
	namespace string
}

// startNodeShell starts such a pod in a namespace of its own, since kiln's does not
// let it in.
func startNodeShell(t *testing.T, f *suite.Fixture) nodeShell {
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
			NodeName: f.PodNow(t, f.Pod).Spec.NodeName, HostPID: true, TerminationGracePeriodSeconds: new(int64(0)),
			AutomountServiceAccountToken: new(false),
			Containers: []corev1.Container{{
				Name: "shell", Image: f.Images.Runner, Command: []string{"sleep", "3600"},
				SecurityContext: &corev1.SecurityContext{Privileged: new(true), RunAsUser: new(int64(0))},
			}},
		},
	}
	// The service account of a pod comes a moment after its namespace.
	err = harness.Eventually(t.Context(), 30*time.Second, func(ctx context.Context) error {
		_, err := f.Kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = f.Await(t.Context(), namespace, pod.Name, func(pod *corev1.Pod) (bool, error) { return running(pod, "shell"), nil })
	if err != nil {
		t.Fatal(err)
	}
	return nodeShell{f.Cluster, namespace}
}

// killer returns what sends a signal to a container of a pod.
func (n nodeShell) killer(name, signal string) func(context.Context, *corev1.Pod) error {
	return func(ctx context.Context, pod *corev1.Pod) error { return n.signal(ctx, pod, name, signal) }
}

// signal sends a signal to every process of a container.
func (n nodeShell) signal(ctx context.Context, pod *corev1.Pod, name, signal string) error {
	id := containerID(pod, name)
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

// unread is a program for perl: how much the standard input of a container's processes
// holds that none of them has read.
const unread = `use Fcntl;
my $most = 0;
for my $file (glob "/proc/[0-9]*/cgroup") {
  open my $in, "<", $file or next;
  next unless join("", <$in>) =~ /$ARGV[0]/;
  my $pipe = $file =~ s/cgroup$/fd\/0/r;
  next unless -p $pipe and sysopen my $end, $pipe, O_RDONLY | O_NONBLOCK;
  my $held = pack "i", 0;
  ioctl $end, 0x541B, $held or next; # FIONREAD
  $most = unpack "i", $held if unpack("i", $held) > $most;
}
print $most`

// awaitStuck waits until a part of the context has reached a Kaniko that is stopped: the
// whole has no room on its way. It is an error that nothing comes, as when Kaniko had read
// all of it before.
func (n nodeShell) awaitStuck(ctx context.Context, pod *corev1.Pod) error {
	return harness.Eventually(ctx, 10*time.Second, func(ctx context.Context) error {
		var out bytes.Buffer
		err := n.Exec(ctx, harness.Exec{
			Namespace: n.namespace, Pod: "shell", Container: "shell",
			Command: []string{"perl", "-e", unread, containerID(pod, "kaniko")}, Stdout: &out, Stderr: &out,
		})
		if held, _ := strconv.Atoi(out.String()); err == nil && held == 0 {
			err = fmt.Errorf("Kaniko's standard input holds %q bytes", out.String())
		}
		return err
	})
}

// containerID is the runtime's name for a container.
func containerID(pod *corev1.Pod, name string) string {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == name {
			_, id, _ := strings.Cut(status.ContainerID, "://")
			return id
		}
	}
	return ""
}
