package imagebuild

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/podlog"
	"kiln/internal/podwait"
	"kiln/internal/preflight"
	"kiln/internal/steplog"
)

// says is a line of the executor's own.
func says(message string) string { return `{"level":"info","msg":"` + message + `","time":"t"}` + "\n" }

// noEvents is a cluster that tells of nothing.
type noEvents struct{}

// Events implements [podwait.Events].
func (noEvents) Events(context.Context, string, string) []corev1.Event { return nil }

// aLife is the life of a build of three lines, and what shows Kaniko's log.
func aLife(t *testing.T, out *strings.Builder) (*life, *kanikoLog) {
	t.Helper()
	file, err := preflight.Parse("ci/Dockerfile", []byte("FROM base:1\nRUN make\nCOPY a b\n"))
	if err != nil {
		t.Fatal(err)
	}
	log := steplog.New(out, "", false)
	output := newKanikoLog(log, file.Stages, "", creator)
	return &life{
		uid: "1", limits: limits{pending: time.Hour, build: time.Minute}, words: output,
		about: subject{place: steplog.Place{File: "ci/Dockerfile", Local: true}, file: file, push: "registry.example.com/ci/app:k1-0"},
		wait:  podwait.Begin(log, noEvents{}, podwait.Wait{Kind: "Pod", Name: "kiln-1", Image: failure.KanikoImagePull}),
	}, output
}

// failedLife is one whose executor has printed log and ended.
func failedLife(t *testing.T, end corev1.ContainerStateTerminated, log ...string) (*life, *kanikoLog) {
	t.Helper()
	l, output := aLife(t, &strings.Builder{})
	l.gate = gateListens
	l.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "kiln-1", UID: "1"}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
		{Name: kaniko.ContainerKaniko, State: corev1.ContainerState{Terminated: &end}},
	}}}
	for _, line := range log {
		if err := output.sink([]byte(line), podlog.Position{}); err != nil {
			t.Fatal(err)
		}
	}
	return l, output
}

func TestBuildFailure(t *testing.T) {
	stage, run := says("Building stage 'base:1' [idx: '0', base-idx: '-1']"), says("RUN make")
	for name, tt := range map[string]struct {
		end  corev1.ContainerStateTerminated
		log  []string
		want string
	}{
		"a RUN": {
			corev1.ContainerStateTerminated{ExitCode: 2},
			[]string{stage, run, "make: *** no rule\n", "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 2\n"},
			"::error file=ci/Dockerfile,line=2::ci/Dockerfile:2: RUN make failed with exit code 2 [run_failed]",
		},
		"a RUN that ends no line": {
			corev1.ContainerStateTerminated{ExitCode: 2},
			[]string{stage, run, "oopserror building image: error building stage: failed to execute command: waiting for process to exit: exit status 2\n"},
			"::error file=ci/Dockerfile,line=2::ci/Dockerfile:2: RUN make failed with exit code 2 [run_failed]",
		},
		"a missing source": {
			corev1.ContainerStateTerminated{ExitCode: 1},
			[]string{stage, "error building image: error building stage: failed to get files used from context: failed to get fileinfo for /kaniko/buildcontext/context/a: lstat /kaniko/buildcontext/context/a: no such file or directory\n"},
			"::error file=ci/Dockerfile,line=3::ci/Dockerfile:3: a is not in the build context, the directory of the Dockerfile: check the path and .dockerignore [source_missing]",
		},
		"out of memory": {
			corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"},
			[]string{stage, run},
			"::error file=ci/Dockerfile,line=2::ci/Dockerfile:2: the build ran out of memory: an operator has to raise KILN_BUILD_MEMORY [out_of_memory]",
		},
		"a push": {
			corev1.ContainerStateTerminated{ExitCode: 1},
			[]string{"error pushing image: failed to push to destination 127.0.0.1:5001/registry__example__com/ci/app:t: POST http://127.0.0.1:5001/v2/x: DENIED: no\n"},
			"::error::ci/Dockerfile: the registry did not take the image: DENIED: no; an operator has to check that registry.example.com/ci/app takes images without credentials, or to name a Secret with ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME [registry_denied_push]",
		},
		"no words": {
			corev1.ContainerStateTerminated{ExitCode: 9},
			nil,
			"::error::ci/Dockerfile: Kaniko ended with exit code 9 and gave no reason [internal]",
		},
		"no image": {
			corev1.ContainerStateTerminated{},
			nil,
			"::error::Kaniko reports success, but the gate saw no image being pushed [internal]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			l, _ := failedLife(t, tt.end, tt.log...)
			steplog.New(&out, "", false).Error(l.failure())
			if got := strings.TrimSuffix(out.String(), "\n"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestBuildIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := func(l *life) string {
			l.late()
			return l.err.Error()
		}
		l, output := aLife(t, &strings.Builder{})
		if got := late(l); got != "the build pod did not start within 1h0m0s (KILN_PENDING_TIMEOUT): the cluster gives no reason" {
			t.Error(got)
		}
		l.phase, l.began = sending, time.Now()
		time.Sleep(time.Second)
		if got := late(l); got != "the build took longer than 1m0s (KILN_BUILD_TIMEOUT); it was sending the build context, 1s" {
			t.Error(got)
		}
		if err := output.sink([]byte(says("RUN make")), podlog.Position{}); err != nil {
			t.Fatal(err)
		}
		l.phase = building
		time.Sleep(time.Second)
		if got := late(l); got != "the build took longer than 1m0s (KILN_BUILD_TIMEOUT); it was building: RUN make, 1s" {
			t.Error(got)
		}
	})
}

// Who ended a build decides whether it is tried again, and which line of the
// Dockerfile is told.
func TestReasons(t *testing.T) {
	stage, run := says("Building stage 'base:1' [idx: '0', base-idx: '-1']"), says("RUN make")
	for name, tt := range map[string]struct {
		end    corev1.ContainerStateTerminated
		log    []string
		adjust func(*life)
		failed func(*life) error
		reason failure.Reason
		says   string
	}{
		"evicted for the node": {
			adjust: status("Evicted", "The node was low on resource: memory."),
			failed: func(l *life) error { return l.taken("Evicted: The node was low on resource: memory.") },
			reason: failure.Evicted, says: "::error::the build was ended by the cluster: Evicted: The node was low",
		},
		"over its own limit": {
			log:    []string{stage, run},
			adjust: status("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."),
			failed: func(l *life) error { return l.taken("Evicted: over") },
			reason: failure.DiskFull, says: "::error file=ci/Dockerfile,line=2::ci/Dockerfile:2: the build wrote more than it may (Evicted: over): raise KILN_BUILD_STORAGE",
		},
		"killed while the context was on its way": {
			end:    corev1.ContainerStateTerminated{ExitCode: exitKilled, Reason: "Error"},
			adjust: func(l *life) { l.broke = failure.New(failure.ContextTransport, "cut after 3 bytes") },
			failed: (*life).failure, reason: failure.ContextTransport, says: "::error::cut after 3 bytes",
		},
		"a broken stream, and a reason of its own": {
			end:    corev1.ContainerStateTerminated{ExitCode: exitKilled, Reason: "OOMKilled"},
			adjust: func(l *life) { l.broke = failure.New(failure.ContextTransport, "cut after 3 bytes") },
			failed: (*life).failure, reason: failure.OutOfMemory, says: "KILN_BUILD_MEMORY",
		},
		"what the gate knows of the registry": {
			end:    corev1.ContainerStateTerminated{ExitCode: 1},
			log:    []string{"error pushing image: failed to push to destination 127.0.0.1:5001/a/b:t: HEAD http://127.0.0.1:5001/v2/x: unexpected status code 502 Bad Gateway\n"},
			adjust: func(l *life) { l.hear("# registry r.example.com: connection refused") },
			failed: (*life).failure, reason: failure.RegistryUnreachable, says: "502 Bad Gateway (registry r.example.com: connection refused)",
		},
		"files left out": {
			log:    []string{stage, run, `{"level":"error","msg":"Couldn't eval /x with link /x","time":"t"}` + "\n", says("COPY a b")},
			failed: func(l *life) error { l.read(lack); return l.err }, reason: failure.UnsupportedInstruction, says: "line=2::ci/Dockerfile:2: the image would lack files",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := failedLife(t, tt.end, tt.log...)
			if tt.adjust != nil {
				tt.adjust(l)
			}
			err := tt.failed(l)
			var out strings.Builder
			steplog.New(&out, "", false).Error(err)
			if got := strings.TrimSuffix(out.String(), "\n"); failure.Of(err) != tt.reason || !strings.Contains(got, tt.says) || !strings.HasSuffix(got, " "+tt.reason.Mark()) {
				t.Errorf("got  %s\nwant …%s… %s", got, tt.says, tt.reason.Mark())
			}
		})
	}
}

// status is how the kubelet marks a pod that it ended.
func status(reason, message string) func(*life) {
	return func(l *life) {
		l.pod.Status.Phase, l.pod.Status.Reason, l.pod.Status.Message = corev1.PodFailed, reason, message
	}
}

func TestPushHint(t *testing.T) {
	const repository = "registry.example.com/actions/app"
	if got := pushHint(repository, "kiln-registry"); !strings.Contains(got, "Secret kiln-registry ") || !strings.HasSuffix(got, repository) {
		t.Errorf("with a Secret: %q", got)
	}
	if got := pushHint(repository, ""); !strings.Contains(got, "REGISTRY_SECRET_NAME") || !strings.Contains(got, repository) {
		t.Errorf("without: %q", got)
	}
}

// TestTheEndOfARemovedPodIsNoFailure has Kaniko end because somebody removed its
// pod, and fail in one that its creator removes at once: as process 1 it ends with
// exit code 2 at SIGTERM (runtime.dieFromSignal).
func TestTheEndOfARemovedPodIsNoFailure(t *testing.T) {
	now := metav1.Now()
	removed, _ := failedLife(t, corev1.ContainerStateTerminated{ExitCode: 2})
	removed.pod.DeletionTimestamp = &now
	if err := removed.failure(); !errors.Is(err, errAgain) {
		t.Errorf("a removed pod: %v, want another look", err)
	}
	// A RUN goes on for a moment, and its words are the last ones.
	spoken, _ := failedLife(t, corev1.ContainerStateTerminated{ExitCode: 143}, says("Building stage 'base:1' [idx: '0', base-idx: '-1']"), says("RUN make"),
		"kiln-init: /kaniko/executor was ended by the signal \"terminated\"\n", "made 8\n")
	if err := spoken.failure(); failure.Of(err) != failure.RunFailed {
		t.Errorf("a build that nobody removed: %v", err)
	}
	spoken.pod.DeletionTimestamp = &now
	if err := spoken.failure(); !errors.Is(err, errAgain) {
		t.Errorf("a removed pod in which a RUN spoke last: %v, want another look", err)
	}
	failed, _ := failedLife(t, corev1.ContainerStateTerminated{ExitCode: 1}, "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 3\n")
	failed.pod.DeletionTimestamp = &now
	if err := failed.failure(); failure.Of(err) != failure.RunFailed {
		t.Errorf("a failed build: %v", err)
	}
}

// TestASilentGate: a build that ends well and of whose gate nothing was heard failed on the
// way to the log.
func TestASilentGate(t *testing.T) {
	l, _ := failedLife(t, corev1.ContainerStateTerminated{})
	l.gate = gateStarted
	if err := l.failure(); failure.Of(err) != failure.ClusterUnreachable || !errors.Is(err, errUnheard) {
		t.Errorf("error = %v (%s)", err, failure.Of(err))
	}
}
