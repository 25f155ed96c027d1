package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/action"
	"kiln/internal/hook"
	"kiln/internal/podtest"
	"kiln/internal/spool"
)

// serviceAccount is where the kubelet mounts a pod's token.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// tokenVariable has the directory whose files inPod mounts there.
const tokenVariable = "KILN_TEST_TOKEN"

// inPod becomes kilnd where a service account's files are those of a directory. It
// has a mount namespace of its own.
func inPod() {
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", "/var/run", "tmpfs", 0, ""),
		os.MkdirAll(serviceAccount, 0o755),
		unix.Mount(os.Getenv(tokenVariable), serviceAccount, "", unix.MS_BIND, ""),
	)
	kilnd, lookErr := exec.LookPath("kilnd")
	if err = errors.Join(err, lookErr); err == nil {
		err = syscall.Exec(kilnd, append([]string{kilnd}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "in-pod:", err)
	os.Exit(2)
}

// runnerPod is the pod that the daemon of these tests is in.
func runnerPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "runner-1", UID: "runner-uid"},
		Spec: corev1.PodSpec{
			NodeName: podtest.Node,
			Containers: []corev1.Container{
				{Name: "kiln", Image: "registry.example.com/kiln:1"},
				{Name: "runner", VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/home/runner/_work"}}},
			},
			Volumes: []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "runner-1-work"},
			}}},
		},
	}
}

// sidecar is a kilnd run beside a cluster, as a test of it sees them.
type sidecar struct {
	t        *testing.T
	cluster  *podtest.Cluster
	exchange *spool.Exchange
	images   string // the host of a registry without images
	env      []string
	process  *exec.Cmd
	log      bytes.Buffer
	exited   chan error
}

// newSidecar makes the cluster, a registry and the directories of a sidecar. run is
// what happens in the pods of actions.
func newSidecar(t *testing.T, run func(*podtest.Life)) *sidecar {
	t.Helper()
	return newSidecarBehind(t, run, func(api http.Handler) http.Handler { return api })
}

// newSidecarBehind is newSidecar with something between kilnd and the API server.
func newSidecarBehind(t *testing.T, run func(*podtest.Life), between func(api http.Handler) http.Handler) *sidecar {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a mount namespace takes root")
	}
	s := &sidecar{t: t, cluster: podtest.New(t, "ci", runnerPod())}
	s.cluster.Run = run
	api := httptest.NewTLSServer(between(s.cluster))
	t.Cleanup(api.Close)
	registry := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(registry.Close)
	s.images = strings.TrimPrefix(registry.URL, "http://")

	dir := t.TempDir()
	for _, name := range []string{"exchange", "state", "token"} {
		s.must(os.Mkdir(filepath.Join(dir, name), 0o777))
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	for name, content := range map[string]string{"token": "secret", "ca.crt": string(authority), "namespace": "ci"} {
		s.must(os.WriteFile(filepath.Join(dir, "token", name), []byte(content), 0o600))
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(api.URL, "https://"))
	s.must(err)
	s.env = append(os.Environ(),
		"KUBERNETES_SERVICE_HOST="+host, "KUBERNETES_SERVICE_PORT="+port, tokenVariable+"="+filepath.Join(dir, "token"),
		"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST="+s.images+"/kiln", "KILN_INSECURE_REGISTRIES="+s.images,
		"KILN_POD_NAME=runner-1", "KILN_EXCHANGE="+filepath.Join(dir, "exchange"), "KILN_STATE="+filepath.Join(dir, "state"),
		"KILN_LISTEN=127.0.0.1:0", "KILN_METRICS_LISTEN=127.0.0.1:0")
	s.exchange, err = spool.Open(filepath.Join(dir, "exchange"))
	s.must(err)
	t.Cleanup(func() { _ = s.exchange.Close() })
	return s
}

// must ends the test with an error.
func (s *sidecar) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// patience guards against a hang.
const patience = 2 * time.Minute

// await polls until done or the test's patience ends.
func (s *sidecar) await(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s did not happen; the cluster has %v and kilnd says\n%s", what, s.cluster.Names(), s.said())
		}
	}
}

// said is what kilnd has logged, once it has ended.
func (s *sidecar) said() string {
	_ = s.kill(unix.SIGKILL)
	return s.log.String()
}

// start starts kilnd run and waits until it serves.
func (s *sidecar) start() {
	s.t.Helper()
	path, err := exec.LookPath("in-pod")
	s.must(err)
	s.process = exec.CommandContext(s.t.Context(), path, "run")
	s.process.Env, s.process.Stderr = s.env, &s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	s.process.WaitDelay = 5 * time.Second
	if err := s.process.Start(); errors.Is(err, unix.EPERM) {
		s.t.Skip("this machine lets nobody make a mount namespace")
	} else if err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan error, 1)
	go func() { s.exited <- s.process.Wait() }()
	s.t.Cleanup(func() { _ = s.kill(unix.SIGKILL) })
	s.await("serving the exchange", s.exchange.DaemonAlive)
}

// kill sends a signal and waits for the end, whose error it returns.
func (s *sidecar) kill(signal syscall.Signal) error {
	if s.exited == nil {
		return nil
	}
	_ = s.process.Process.Signal(signal)
	err := <-s.exited
	s.exited = nil
	return err
}

// worker is the process that serves, a child of the one that was started.
func (s *sidecar) worker() int {
	s.t.Helper()
	pid := 0
	s.await("a worker", func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.process.Process.Pid))
		for _, task := range tasks {
			children, _ := os.ReadFile(task)
			if fields := strings.Fields(string(children)); len(fields) > 0 {
				pid, _ = strconv.Atoi(fields[0])
			}
		}
		return pid > 0
	})
	return pid
}

// drop hands over a step with a ready image.
func (s *sidecar) drop() *spool.Draft { return s.offer(nil) }

// offer hands over such a step with an outlet for its action.
func (s *sidecar) offer(outlet *spool.Outlet) *spool.Draft {
	s.t.Helper()
	args, err := json.Marshal(hook.Container{
		Image: s.images + "/busybox:1", EntryPoint: "/run", WorkingDirectory: "/github/workspace",
		EnvironmentVariables: hook.Environment{"GREETING": "hello"},
		SystemMountVolumes:   []hook.Mount{{SourceVolumePath: "/home/runner/_work/app/app", TargetVolumePath: "/github/workspace"}},
	})
	s.must(err)
	draft, err := s.exchange.NewDraft()
	s.must(err)
	s.must(draft.Drop(spool.Request{Workspace: "/home/runner/_work/app/app", Args: args, Outlet: outlet}))
	return draft
}

// result waits for the answer of a step and returns it with its log.
func (s *sidecar) result(draft *spool.Draft) (spool.Result, string) {
	s.t.Helper()
	var log bytes.Buffer
	var found spool.Result
	s.await("a result", func() bool {
		result, ok, err := draft.Result(&log)
		s.must(err)
		found = result
		return ok
	})
	return found, log.String()
}

// clean waits until nothing of any step is left, in the cluster and the exchange.
func (s *sidecar) clean(draft *spool.Draft) {
	s.t.Helper()
	draft.Remove()
	s.await("the end of the step's objects", func() bool { return slices.Equal(s.cluster.Names(), []string{"pods/runner-1"}) })
	s.await("the end of the answer", func() bool { responses, err := s.exchange.Responses(); return err == nil && len(responses) == 0 })
}

// greets is an action that prints what it was given and ends.
func greets(life *podtest.Life) {
	life.Start(action.ContainerName)
	life.Print(action.ContainerName, "hello from "+life.Pod().Spec.Containers[0].Image)
	life.Exit(action.ContainerName, 3)
}

// lasts returns an action that says when it runs, and ends when it is told to.
func lasts(running chan<- string) func(*podtest.Life) {
	return func(life *podtest.Life) {
		life.Start(action.ContainerName)
		life.Print(action.ContainerName, "working")
		running <- life.Pod().Name
		<-life.Deleted()
		life.Exit(action.ContainerName, 143)
	}
}

// TestWorkerRunsSteps takes a step with a ready image from its drop to its result,
// and then another.
func TestWorkerRunsSteps(t *testing.T) {
	s := newSidecar(t, greets)
	s.start()
	for range 2 {
		draft := s.drop()
		got, log := s.result(draft)
		if want := "hello from " + s.images + "/busybox:1\n"; got.ExitCode != 3 || !strings.Contains(log, want) {
			t.Errorf("exit code %d, log %q; want 3 and %q", got.ExitCode, log, want)
		}
		s.clean(draft)
	}
	if err := s.kill(unix.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// TestWorkerOutlet: an action is given the outlet that the shim offers, and its output is
// read from the node where the shim says that it has none of it.
func TestWorkerOutlet(t *testing.T) {
	offered := spool.Outlet{Dir: strings.Repeat("d", 32), Token: strings.Repeat("0", 32)}
	for name, tt := range map[string]struct {
		outlet spool.Outlet
		way    spool.Way
		given  bool
		reads  bool
	}{
		"taken":     {offered, spool.Taken, true, false},
		"shut":      {offered, spool.Shut, true, true},
		"malformed": {spool.Outlet{Dir: "../" + offered.Dir[3:], Token: offered.Token}, spool.Undecided, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			given := make(chan bool, 1)
			s := newSidecar(t, func(life *podtest.Life) {
				given <- action.HasOutlet(&life.Pod().Spec)
				greets(life)
			})
			s.start()
			draft := s.offer(&tt.outlet)
			if tt.way != spool.Undecided {
				s.await("the question", draft.Wanted)
				s.must(draft.Say(tt.way))
			}
			got, log := s.result(draft)
			if reads := strings.Contains(log, "hello from "); got.ExitCode != 3 || reads != tt.reads || !strings.Contains(log, "kiln: ") {
				t.Errorf("exit code %d, log %q", got.ExitCode, log)
			}
			if <-given != tt.given {
				t.Errorf("the action was given an outlet: %v", !tt.given)
			}
			s.clean(draft)
		})
	}
}

// TestWorkerIsInterrupted ends a step that runs in every way but its own: each time
// the author reads why, and nothing of it stays.
func TestWorkerIsInterrupted(t *testing.T) {
	for name, tt := range map[string]struct {
		interrupt func(*sidecar, *spool.Draft)
		code      int
		says      string
		// again: a worker serves after it.
		again bool
	}{
		"cancelled": {func(s *sidecar, draft *spool.Draft) { s.must(draft.Cancel()) }, 1, "the step was cancelled", true},
		"SIGTERM": {func(s *sidecar, _ *spool.Draft) {
			if err := s.kill(unix.SIGTERM); err != nil {
				s.t.Errorf("ended with %v", err)
			}
		}, 1, "kiln's daemon is being stopped", false},
		"cancelled while the worker is away": {func(s *sidecar, draft *spool.Draft) {
			_ = s.kill(unix.SIGKILL)
			s.must(draft.Cancel())
			s.start()
		}, 1, "the step was cancelled", true},
		"its Job is removed while the worker is away": {func(s *sidecar, _ *spool.Draft) {
			_ = s.kill(unix.SIGKILL)
			for _, name := range s.cluster.Names() {
				if kind, job, _ := strings.Cut(name, "/"); kind == "jobs" {
					s.cluster.Delete(kind, job)
				}
			}
			s.start()
		}, 1, "the action's Job was deleted while it ran", true},
		"its pod is removed": {func(s *sidecar, _ *spool.Draft) {
			for _, pod := range s.cluster.Pods() {
				if pod.Name != "runner-1" {
					s.cluster.Delete("pods", pod.Name)
				}
			}
		}, 1, "the action's pod was deleted while it ran", true},
	} {
		t.Run(name, func(t *testing.T) {
			running := make(chan string, 1)
			s := newSidecar(t, lasts(running))
			s.start()
			draft := s.drop()
			select {
			case <-running:
			case <-time.After(patience):
				t.Fatalf("the action does not start:\n%s", s.said())
			}
			s.await("the action's output", func() bool {
				var log bytes.Buffer
				s.must(draft.Print(&log))
				return strings.Contains(log.String(), "working")
			})
			tt.interrupt(s, draft)
			got, log := s.result(draft)
			if said := log + got.Message; got.ExitCode != tt.code || !strings.Contains(said, tt.says) {
				t.Errorf("exit code %d, said %q; want %d and %q", got.ExitCode, said, tt.code, tt.says)
			}
			if !tt.again {
				if diff := cmp.Diff([]string{"pods/runner-1"}, s.cluster.Names()); diff != "" {
					t.Errorf("left in the cluster (-want +got):\n%s", diff)
				}
				return
			}
			s.clean(draft)
		})
	}
}

// TestWorkerWithoutTheCluster: a step whose daemon cannot reach the API server says
// so, and the daemon serves on.
func TestWorkerWithoutTheCluster(t *testing.T) {
	s := newSidecar(t, greets)
	s.env = append(s.env, "KUBERNETES_SERVICE_PORT=1")
	s.start()
	draft := s.drop()
	got, log := s.result(draft)
	if got.ExitCode != 1 || !strings.Contains(log, "read the runner pod") || !strings.Contains(log, "connection refused") {
		t.Errorf("exit code %d, log %q", got.ExitCode, log)
	}
	s.clean(draft)
}
