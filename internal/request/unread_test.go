package request

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"kiln/internal/action"
	"kiln/internal/kaniko"
	"kiln/internal/podrun"
	"kiln/internal/steplog"
)

// exited is a pod whose container has ended.
func exited(container string, code int32) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "kiln-1", Namespace: "ci"},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: container, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}},
		}}},
	}
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
			s := &step{handler: &Handler{}, log: steplog.New(&out, "", false), times: steplog.NewTimes(nil)}
			r := &actionRun{step: s, pod: exited(action.ContainerName, tt.exit), following: true}
			if err := r.ended(t.Context(), tt.err); err != nil {
				t.Fatal(err)
			}
			code, over, err := r.outcome()
			if code != tt.code || !over || (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("outcome = %d, %v, %v; want %d and %q", code, over, err, tt.code, tt.why)
			}
			if said, _, _ := strings.Cut(out.String(), "kiln: "+s.times.String()); said != tt.said {
				t.Errorf("log %q, want %q", said, tt.said)
			}
		})
	}
}

func TestACancelledLogSaysWhy(t *testing.T) {
	var out strings.Builder
	r := &actionRun{step: &step{log: steplog.New(&out, "", false)}}
	mine := errors.New("mine")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(mine)
	if err := r.ended(ctx, context.Canceled); !errors.Is(err, mine) || out.Len() > 0 {
		t.Errorf("error %v, log %q", err, out.String())
	}
}

func TestUnheard(t *testing.T) {
	forbidden := errors.New("kiln's service account needs a right")
	running := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "kiln-1", Namespace: "ci"}}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx  context.Context
		pod  *corev1.Pod
		err  error
		want bool
	}{
		"read":             {t.Context(), running, nil, false},
		"running":          {t.Context(), running, forbidden, true},
		"over":             {t.Context(), exited(kaniko.ContainerGate, 1), forbidden, false},
		"gone":             {t.Context(), &corev1.Pod{}, forbidden, false},
		"gone by its log":  {t.Context(), running, podrun.ErrGone, false},
		"step was stopped": {cancelled, running, forbidden, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := &build{step: &step{handler: &Handler{Pods: podrun.Client{Kube: fake.NewClientset(tt.pod), Namespace: "ci"}}}, name: "kiln-1"}
			if err := b.unheard(tt.ctx, tt.err); (err != nil) != tt.want || tt.want && !errors.Is(err, forbidden) {
				t.Errorf("error %v, want one: %v", err, tt.want)
			}
		})
	}
}

func TestAnUnreadableBuildLogIsSaidOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		want  string
		ended bool
	}{
		"read":       {nil, "", true},
		"unreadable": {errors.New("no\nroute"), "kiln: the build's log cannot be read any further: no route\n", false},
		"gone":       {podrun.ErrGone, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			k := newKanikoLog(steplog.New(&out, "", false), nil, false)
			k.follow(func(func([]byte) error) error { return tt.err })
			if out.String() != tt.want || k.ended() != tt.ended {
				t.Errorf("log %q, ended %v", out.String(), k.ended())
			}
		})
	}
}
