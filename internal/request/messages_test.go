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
	"k8s.io/client-go/kubernetes/fake"

	"kiln/internal/hook"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

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

// stepWith returns a step whose cluster holds the given events, and its log.
func stepWith(events ...corev1.Event) (*step, *strings.Builder) {
	var out strings.Builder
	kube := fake.NewClientset(&corev1.EventList{Items: events})
	return &step{handler: &Handler{pods: podrun.Client{Kube: kube, Namespace: "ci"}}, log: steplog.New(&out, "", false)}, &out
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
