package request

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"kiln/internal/hook"
	"kiln/internal/hostpath"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/spool"
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
		"terminated":      {corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error"}, "the action acme/lint was ended by SIGTERM (exit code 143)"},
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

func TestActionName(t *testing.T) {
	for path, want := range map[string]string{
		"":                     "docker.io/library/busybox",
		"/w/app/Dockerfile":    "Dockerfile",
		"/w/app/a/Dockerfile":  "a",
		"/w/_actions/o/r/v1/D": "o/r/v1",
	} {
		s := &step{
			asked:     spool.Request{Path: path, Workspace: "/w/app"},
			container: hook.Container{Image: "docker.io/library/busybox", Dockerfile: path},
		}
		if got := s.actionName(); got != want {
			t.Errorf("actionName of %q = %q, want %q", path, got, want)
		}
	}
}

func TestHostPaths(t *testing.T) {
	container := hook.Container{SystemMountVolumes: []hook.Mount{{SourceVolumePath: "/r/_work/app/app", TargetVolumePath: "/github/workspace"}}}
	want := []hostpath.Mapping{{Container: "/__w", Host: "/r/_work"}, {Container: "/github/workspace", Host: "/r/_work/app/app"}}
	if diff := cmp.Diff(want, hostPaths(container, "/r/_work")); diff != "" {
		t.Errorf("mappings (-want +got):\n%s", diff)
	}
}

// stepWith returns a step whose cluster holds the given events, and its log.
func stepWith(events ...corev1.Event) (*step, *strings.Builder) {
	var out strings.Builder
	kube := fake.NewClientset(&corev1.EventList{Items: events})
	return &step{handler: &Handler{Pods: podrun.Client{Kube: kube, Namespace: "ci"}}, log: steplog.New(&out, "", false)}, &out
}

func TestHeartbeatOfABuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out := stepWith()
		b := &build{step: s, output: newKanikoLog(s.log, nil, false), working: true, began: time.Now()}
		beat := func(times int) {
			for range times {
				time.Sleep(podwait.Interval)
				if err := b.explain(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
		say := func(line string) {
			if err := b.output.sink([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		beat(11)
		say(`{"level":"info","msg":"RUN make","time":"t"}` + "\n")
		say(`{"level":"info","msg":"Running: [/bin/sh -c make]","time":"t"}` + "\n")
		beat(9)
		say("cc\n")
		beat(21)
		b.output.finish()
		beat(1)
		want := "kiln: still sending the build context, 30s\n" +
			"#1 RUN make\n" +
			"#1 27.00 cc\n" +
			"kiln: still building: RUN make, 57s\n" +
			"kiln: still building: RUN make, 1m27s\n" +
			"#1 DONE 90.0s\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestKanikoLogForDebugging(t *testing.T) {
	var out strings.Builder
	k := newKanikoLog(steplog.New(&out, "", false), nil, true)
	lines := `{"level":"info","msg":"RUN make","time":"t"}` + "\nUsage:\nPushing 127.0.0.1:5001/ghcr__io/a\npart"
	k.follow(func(sink func([]byte) error) error {
		for line := range strings.SplitAfterSeq(lines, "\n") {
			if err := sink([]byte(line)); err != nil {
				return err
			}
		}
		return nil
	})
	k.finish()
	if want := strings.Replace(lines, "127.0.0.1:5001/ghcr__io", "ghcr.io", 1) + "\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
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

func TestRefusalsAreShownUpToALimit(t *testing.T) {
	s, out := stepWith()
	s.logger = zap.NewNop()
	b := &build{step: s}
	for range 2 * maxDenied {
		b.hear(context.Background(), "denied GET /v2/x: not\tlisted")
	}
	if want := strings.Repeat("kiln: the gate refused GET /v2/x: not listed\n", maxDenied); out.String() != want {
		t.Errorf("log:\n%s", out)
	}
	if b.deniedHint() != "; it refused GET /v2/x: not listed" {
		t.Errorf("hint %q", b.deniedHint())
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
