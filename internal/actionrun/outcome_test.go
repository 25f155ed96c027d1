package actionrun

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/action"
	"kiln/internal/hook"
	"kiln/internal/hostpath"
	"kiln/internal/podrun"
	"kiln/internal/steplog"
)

func TestActionFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		end  corev1.ContainerStateTerminated
		want string
	}{
		"well":            {corev1.ContainerStateTerminated{Reason: "Completed"}, ""},
		"an exit code":    {corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"}, "the action acme/lint ended with exit code 3: its own output above says why"},
		"no entrypoint":   {corev1.ContainerStateTerminated{ExitCode: 127, Reason: "StartError", Message: "exec: \"/x\":\nstat"}, "the action acme/lint could not be started (exit code 127) because its entrypoint is not in the image: check the name in ENTRYPOINT or action.yml, and the interpreter in the script's first line: exec: \"/x\": stat"},
		"not executable":  {corev1.ContainerStateTerminated{ExitCode: 126, Reason: "StartError"}, "the action acme/lint could not be started (exit code 126) because its entrypoint may not be executed: set its exec bit with git update-index --chmod=+x, and check that it is a program"},
		"another start":   {corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: "m"}, "the action acme/lint could not be started (exit code 128): m"},
		"its own 127":     {corev1.ContainerStateTerminated{ExitCode: 127, Reason: "Error"}, "the action acme/lint ended with exit code 127: its own output above says why"},
		"out of memory":   {corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}, "the action acme/lint was killed (exit code 137) because it used more memory than it may: let it need less, or an operator raises the limit in the pod template"},
		"a child's death": {corev1.ContainerStateTerminated{Reason: "OOMKilled"}, ""},
		"killed":          {corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}, "the action acme/lint was ended by SIGKILL (exit code 137): a process of it may have run out of memory"},
		"a closed pipe":   {corev1.ContainerStateTerminated{ExitCode: 141, Reason: "Error"}, "the action acme/lint was ended by SIGPIPE (exit code 141): it wrote to what nobody reads; as the first process of its container, with KILN_INIT=off in its environment, it would go on"},
		"terminated":      {corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error"}, "the action acme/lint was ended by SIGTERM (exit code 143): where it sends that signal to itself or to its group, set KILN_INIT=off in its environment"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := actionFailure("acme/lint", &tt.end); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestHostPaths(t *testing.T) {
	container := hook.Container{SystemMountVolumes: []hook.Mount{{SourceVolumePath: "/r/_work/app/app", TargetVolumePath: "/github/workspace"}}}
	want := []hostpath.Mapping{{Container: "/__w", Host: "/r/_work"}, {Container: "/github/workspace", Host: "/r/_work/app/app"}}
	if diff := cmp.Diff(want, hostPaths(container, "/r/_work")); diff != "" {
		t.Errorf("mappings (-want +got):\n%s", diff)
	}
}

// An action that ends by a signal because its pod was deleted, by hand or with its
// Job, says so, and nothing of memory.
func TestDeletedAction(t *testing.T) {
	now := metav1.Now()
	for name, tt := range map[string]struct {
		deleted *metav1.Time
		end     corev1.ContainerStateTerminated
		want    bool
	}{
		"deleted":             {&now, corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}, true},
		"deleted, terminated": {&now, corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error"}, true},
		"ended by itself":     {&now, corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"}, false},
		"ended well":          {&now, corev1.ContainerStateTerminated{Reason: "Completed"}, false},
		"out of memory":       {&now, corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}, false},
		"killed":              {nil, corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}, false},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: tt.deleted}}
		if got := deleted(pod, &tt.end); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// exited is a pod whose container has ended.
func exited(container string, code int32) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "kiln-1", Namespace: "ci"},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: container, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}},
		}}},
	}
}

// logging is an action that writes to out.
func logging(out *strings.Builder) *Action {
	return &Action{runner: &Runner{}, step: Step{Log: steplog.New(out, "", false), Times: steplog.NewTimes(nil)}}
}

// TestAnUnreadableLogEndsNoAction: its exit code is the action's own, unless
// that says that all went well.
func TestAnUnreadableLogEndsNoAction(t *testing.T) {
	unread := errors.New("log of container job may be incomplete:\nforbidden")
	const warning = "::warning::kiln: the action's output cannot be read any further: log of container job may be incomplete:%0Aforbidden\n"
	for name, tt := range map[string]struct {
		err  error
		exit int32
		code int
		said string
		why  string
	}{
		"read":        {nil, 0, 0, "", ""},
		"unread":      {unread, 0, 1, warning, "forbidden"},
		"own code":    {unread, 42, 42, warning, "exit code 42"},
		"pod removed": {fmt.Errorf("log: %w", podrun.ErrGone), 3, 3, "", "exit code 3"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			a := logging(&out)
			r := &run{action: a, pod: exited(action.ContainerName, tt.exit), phase: running}
			if err := r.ended(t.Context(), tt.err); err != nil {
				t.Fatal(err)
			}
			code, over, err := r.outcome()
			if code != tt.code || !over || (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("outcome = %d, %v, %v; want %d and %q", code, over, err, tt.code, tt.why)
			}
			if said, _, _ := strings.Cut(out.String(), "kiln: "+a.step.Times.String()); said != tt.said {
				t.Errorf("log %q, want %q", said, tt.said)
			}
		})
	}
}

func TestACancelledLogSaysWhy(t *testing.T) {
	var out strings.Builder
	r := &run{action: logging(&out)}
	mine := errors.New("mine")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(mine)
	if err := r.ended(ctx, context.Canceled); !errors.Is(err, mine) || out.Len() > 0 {
		t.Errorf("error %v, log %q", err, out.String())
	}
}

// TestTheErrorComesAfterTheOutput ends a run whose action is in the middle of
// its output and has stopped workflow commands.
func TestTheErrorComesAfterTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		r := &run{action: logging(&out), logged: make(chan error, 1), phase: running}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-ctx.Done()
			time.Sleep(joinGrace / 2)
			r.action.step.Log.Line("the last line")
			r.action.step.Log.Stopped("x")
			r.logged <- ctx.Err()
		}()
		r.join(cancel)
		r.action.step.Log.Error(errors.New("late"))
		if want := "the last line\n::x::\n::error::kiln: late [internal]\n"; out.String() != want {
			t.Errorf("log %q, want %q", out.String(), want)
		}
	})
}

// TestABlockedLogIsNotWaitedFor: a shim that prints nothing holds up no step.
func TestABlockedLogIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{logged: make(chan error), phase: running}
		began := time.Now()
		r.join(func() {})
		if took := time.Since(began); took != joinGrace {
			t.Errorf("join took %s, want %s", took, joinGrace)
		}
		r.phase = read
		r.join(func() {})
		if took := time.Since(began); took != joinGrace {
			t.Errorf("waited for a log that was read")
		}
	})
}

// TestALostNodeEndsTheStep: neither its log nor an exit code will come.
func TestALostNodeEndsTheStep(t *testing.T) {
	pod := exited(action.ContainerName, 0)
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	pod.Spec.NodeName = "n1"
	pod.DeletionTimestamp = new(metav1.NewTime(time.Now().Add(-time.Hour)))
	const want = "ended by the cluster: the pod was deleted and its node n1 does not answer"
	r := &run{pod: pod, phase: running}
	if code, over, err := r.outcome(); code != 1 || !over || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("outcome %d, %v, %v", code, over, err)
	}
}

// TestIsAlone: a container that may still run beside the action's is to be given time.
func TestIsAlone(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	own := []corev1.Container{{Name: "job"}}
	for name, tt := range map[string]struct {
		pod  *corev1.PodSpec
		want bool
	}{
		"alone":            {&corev1.PodSpec{Containers: own}, true},
		"behind an init":   {&corev1.PodSpec{Containers: own, InitContainers: []corev1.Container{{Name: "a"}}}, true},
		"beside another":   {&corev1.PodSpec{Containers: append(own, corev1.Container{Name: "a"})}, false},
		"beside a sidecar": {&corev1.PodSpec{Containers: own, InitContainers: []corev1.Container{{Name: "a", RestartPolicy: &always}}}, false},
		"not seen":         {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{}
			if tt.pod != nil {
				r.pod = &corev1.Pod{Spec: *tt.pod}
			}
			if got := r.isAlone(); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
