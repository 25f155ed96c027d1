package imagebuild

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/kaniko"
	"kiln/internal/kube/kubetest"
	"kiln/internal/podlog"
	"kiln/internal/podwait"
)

func TestHeartbeatOfABuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		l, output := aLife(t, &out)
		l.phase, l.began = sending, time.Now()
		b := &podBuild{order: &order{builder: &Builder{}, who: Asker{Log: output.log}}, life: l}
		beat := func(times int) {
			for range times {
				time.Sleep(podwait.Interval)
				b.tell(t.Context(), ticked{})
			}
		}
		say := func(line string) {
			if err := output.sink([]byte(line), podlog.Position{}); err != nil {
				t.Fatal(err)
			}
		}
		beat(11)
		say(`{"level":"info","msg":"RUN make","time":"t"}` + "\n")
		say(`{"level":"info","msg":"Running: [/bin/sh -c make]","time":"t"}` + "\n")
		beat(9)
		say("cc\n")
		beat(21)
		output.finish()
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

func TestRefusalsAreShownUpToALimit(t *testing.T) {
	o, out := anOrder(kubetest.New())
	b := &podBuild{order: o, life: &life{}}
	for range 2 * maxDenied {
		b.tell(t.Context(), gateSaid{"denied GET /v2/x: not\tlisted"})
	}
	if want := strings.Repeat("kiln: the gate refused GET /v2/x: not listed\n", maxDenied); out.String() != want {
		t.Errorf("log:\n%s", out)
	}
	if b.life.deniedHint() != "; it refused GET /v2/x: not listed" {
		t.Errorf("hint %q", b.life.deniedHint())
	}
}

func TestUnheard(t *testing.T) {
	forbidden := errors.New("kiln's service account needs a right")
	running := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "kiln-1", Namespace: "ci"}}
	over := running.DeepCopy()
	over.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: kaniko.ContainerGate, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}},
	}}
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want error
	}{
		"running": {running, forbidden},
		"over":    {over, nil},
		"gone":    {&corev1.Pod{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := anOrder(kubetest.New(tt.pod))
			b := &podBuild{order: o, pod: running, life: &life{}}
			b.tell(t.Context(), gateUnread{forbidden})
			if !errors.Is(b.life.err, tt.want) || !errors.Is(b.life.deaf, forbidden) {
				t.Errorf("error %v, want %v", b.life.err, tt.want)
			}
		})
	}
}
