package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/remotecommand"
	watchtools "k8s.io/client-go/tools/watch"
	utilexec "k8s.io/client-go/util/exec"

	"kiln/e2e/runner"
)

// startTimeout bounds how long a runner pod may take to run: the first one on
// a node pulls its images.
const startTimeout = 3 * time.Minute

// A Runner is a runner pod that is running. Steps may be played in it at the
// same time.
type Runner struct {
	cluster   *Cluster
	Namespace string
	Pod       string
}

// StartRunner creates the runner pod in the namespace and waits until its
// runner container runs, which is after the sidecar's start-up probe passed.
func (c *Cluster) StartRunner(ctx context.Context, namespace string, o PodOptions) (*Runner, error) {
	pod, err := c.RunnerPod(o)
	if err != nil {
		return nil, err
	}
	_, err = c.Kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create runner pod: %w", err)
	}
	return c.AwaitRunner(ctx, namespace, o.Name)
}

// specAnnotation holds the hash of the pod that was asked for.
const specAnnotation = "kiln-harness/spec"

// EnsureRunner is StartRunner for a namespace that may have the pod from an
// earlier time: it is used again if it still is what the options ask for, and
// replaced otherwise.
func (c *Cluster) EnsureRunner(ctx context.Context, namespace string, o PodOptions) (r *Runner, reused bool, err error) {
	pod, err := c.RunnerPod(o)
	if err != nil {
		return nil, false, err
	}
	pods := c.Kube.CoreV1().Pods(namespace)
	old, err := pods.Get(ctx, o.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, false, fmt.Errorf("read runner pod: %w", err)
	case old.Annotations[specAnnotation] == pod.Annotations[specAnnotation] &&
		old.DeletionTimestamp == nil && old.Status.Phase == corev1.PodRunning:
		r, err := c.AwaitRunner(ctx, namespace, o.Name)
		return r, true, err
	default:
		if err := c.remove(ctx, old); err != nil {
			return nil, false, err
		}
	}
	r, err = c.StartRunner(ctx, namespace, o)
	return r, false, err
}

// remove deletes a pod and waits until its name is free.
func (c *Cluster) remove(ctx context.Context, pod *corev1.Pod) error {
	err := c.Kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete pod %s: %w", pod.Name, err)
	}
	// It may be gone before the watch begins.
	gone := func(store cache.Store) (bool, error) {
		if len(store.ListKeys()) == 0 {
			return false, ErrDeleted
		}
		return false, nil
	}
	err = c.await(ctx, pod.Namespace, pod.Name, gone, func(*corev1.Pod) (bool, error) { return false, nil })
	if !errors.Is(err, ErrDeleted) {
		return fmt.Errorf("wait until pod %s is gone: %w", pod.Name, err)
	}
	return nil
}

// ErrDeleted says that a pod that is awaited was deleted.
var ErrDeleted = errors.New("the pod was deleted")

// AwaitRunner waits until the runner container of a pod runs.
func (c *Cluster) AwaitRunner(ctx context.Context, namespace, name string) (*Runner, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	running := func(pod *corev1.Pod) (bool, error) {
		for _, s := range pod.Status.ContainerStatuses {
			if s.Name == RunnerContainer && s.State.Running != nil {
				return true, nil
			}
		}
		if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
			return false, fmt.Errorf("the pod ended: %s %s", pod.Status.Reason, pod.Status.Message)
		}
		return false, nil
	}
	if err := c.Await(ctx, namespace, name, running); err != nil {
		return nil, fmt.Errorf("wait for runner pod %s/%s: %w", namespace, name, err)
	}
	return &Runner{cluster: c, Namespace: namespace, Pod: name}, nil
}

// Await watches a pod until done says so, it fails, or the pod is deleted
// ([ErrDeleted]).
func (c *Cluster) Await(ctx context.Context, namespace, name string, done func(*corev1.Pod) (bool, error)) error {
	return c.await(ctx, namespace, name, nil, done)
}

func (c *Cluster) await(ctx context.Context, namespace, name string,
	precondition watchtools.PreconditionFunc, done func(*corev1.Pod) (bool, error),
) error {
	lw := cache.NewListWatchFromClient(c.Kube.CoreV1().RESTClient(), "pods", namespace,
		fields.OneTermEqualSelector("metadata.name", name))
	_, err := watchtools.UntilWithSync(ctx, lw, &corev1.Pod{}, precondition, func(e watch.Event) (bool, error) {
		pod, ok := e.Object.(*corev1.Pod)
		if !ok {
			return false, fmt.Errorf("watch pod: unexpected %T", e.Object)
		}
		if e.Type == watch.Deleted {
			return false, ErrDeleted
		}
		return done(pod)
	})
	return err
}

// A Result is what came of a step.
type Result struct {
	runner.Report
	// Log is the step's log as the runner reads it from the hook.
	Log string
}

// execTries is how often the output of an exec is asked for: on a busy node an
// exec may end before all of its output has arrived, without an error.
const execTries = 5

// Step plays one container step in the runner container. Files are written
// below the work folder before. The log is also copied to live, when not nil,
// as it comes; only the result is certain to have all of it.
//
// A step that fails is no error.
func (r *Runner) Step(ctx context.Context, s runner.Step, files Files, live io.Writer) (*Result, error) {
	if s.ID == "" {
		s.ID = strings.ToLower(rand.Text())
	}
	head, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode step: %w", err)
	}
	var content bytes.Buffer
	if err := files.writeTar(&content); err != nil {
		return nil, err
	}
	var log, report bytes.Buffer
	var out io.Writer = &log
	if live != nil {
		out = io.MultiWriter(&log, live)
	}
	stdin := io.MultiReader(bytes.NewReader(append(head, '\n')), &content)
	err = r.cluster.Exec(ctx, Exec{
		Namespace: r.Namespace, Pod: r.Pod, Container: RunnerContainer,
		Command: []string{"/usr/local/bin/standin", "step"},
		Stdin:   stdin, Stdout: out, Stderr: &report,
	})
	if err != nil {
		return nil, fmt.Errorf("play step: %w: %s", err, report.String())
	}
	result, err := readResult(s, report.Bytes(), log.Bytes())
	for try := 1; err != nil && try < execTries; try++ {
		result, err = r.showStep(ctx, s)
	}
	return result, err
}

// showStep reads what the stand-in has kept of a step.
func (r *Runner) showStep(ctx context.Context, s runner.Step) (*Result, error) {
	var out, stderr bytes.Buffer
	err := r.cluster.Exec(ctx, Exec{
		Namespace: r.Namespace, Pod: r.Pod, Container: RunnerContainer,
		Command: []string{"/usr/local/bin/standin", "show", s.ID}, Stdout: &out, Stderr: &stderr,
	})
	if err != nil {
		return nil, fmt.Errorf("read step: %w: %s", err, stderr.String())
	}
	report, log, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	return readResult(s, report, log)
}

// readResult reads a report and holds the log to it, where there is one.
func readResult(s runner.Step, report, log []byte) (*Result, error) {
	result := &Result{Log: string(log)}
	if err := json.Unmarshal(report, &result.Report); err != nil {
		return nil, fmt.Errorf("read report: %w: %s", err, report)
	}
	if sum := sha256.Sum256(log); !s.Quiet && hex.EncodeToString(sum[:]) != result.OutputSHA256 {
		return nil, fmt.Errorf("exec lost output: %d of %d bytes arrived", len(log), result.OutputBytes)
	}
	return result, nil
}

// Run runs a program in the runner container and returns its output. The
// error tells an exit code other than 0 and what was on standard error. A
// program whose output did not arrive whole runs again.
func (r *Runner) Run(ctx context.Context, command ...string) (string, error) {
	// The last line proves that nothing before it is missing.
	wrapped := append([]string{"sh", "-c", `"$@"; printf '\nended %d' $?`, "sh"}, command...)
	for range execTries {
		var stdout, stderr bytes.Buffer
		err := r.cluster.Exec(ctx, Exec{
			Namespace: r.Namespace, Pod: r.Pod, Container: RunnerContainer,
			Command: wrapped, Stdout: &stdout, Stderr: &stderr,
		})
		if err != nil {
			return stdout.String(), fmt.Errorf("run %q: %w: %s", command, err, strings.TrimSpace(stderr.String()))
		}
		end := strings.LastIndex(stdout.String(), "\nended ")
		if end < 0 {
			continue
		}
		out, code := stdout.String()[:end], stdout.String()[end+len("\nended "):]
		if code != "0" {
			return out, fmt.Errorf("run %q: exit code %s: %s", command, code, strings.TrimSpace(stderr.String()))
		}
		return out, nil
	}
	return "", fmt.Errorf("run %q: exec lost the output %d times", command, execTries)
}

// Exchange lists what is in the exchange, apart from its fixed directories and
// the daemon's lock.
func (r *Runner) Exchange(ctx context.Context) ([]string, error) {
	out, err := r.Run(ctx, "find", "/var/run/kiln", "-mindepth", "2")
	return strings.Fields(out), err
}

// An Exec is a command in a container. Nil streams are not connected.
type Exec struct {
	Namespace, Pod, Container string
	Command                   []string
	Stdin                     io.Reader
	Stdout, Stderr            io.Writer
}

// Exec runs a command in a container until it ends. The error of a command
// that exits with another code than 0 is a [utilexec.CodeExitError].
func (c *Cluster) Exec(ctx context.Context, e Exec) error {
	url := c.Kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(e.Namespace).Name(e.Pod).
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: e.Container, Command: e.Command,
		Stdin: e.Stdin != nil, Stdout: e.Stdout != nil, Stderr: e.Stderr != nil,
	}, scheme.ParameterCodec).URL()
	executor, err := remotecommand.NewWebSocketExecutor(c.Config, "GET", url.String())
	if err != nil {
		return fmt.Errorf("exec in %s/%s: %w", e.Namespace, e.Pod, err)
	}
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: e.Stdin, Stdout: e.Stdout, Stderr: e.Stderr})
	if exit := (utilexec.CodeExitError{}); errors.As(err, &exit) {
		return exit
	}
	if err != nil {
		return fmt.Errorf("exec in %s/%s: %w", e.Namespace, e.Pod, err)
	}
	return nil
}
