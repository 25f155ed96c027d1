package request

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

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
			b := &build{step: &step{handler: &Handler{pods: podrun.Client{Kube: fake.NewClientset(tt.pod), Namespace: "ci"}}}, name: "kiln-1"}
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
