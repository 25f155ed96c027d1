package request

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/kaniko"
)

// TestALostNodeEndsTheStep: neither its log nor an exit code will come.
func TestALostNodeEndsTheStep(t *testing.T) {
	pod := func(container string) *corev1.Pod {
		p := exited(container, 0)
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
		p.Spec.NodeName = "n1"
		p.DeletionTimestamp = new(metav1.NewTime(time.Now().Add(-time.Hour)))
		return p
	}
	const want = "ended by the cluster: the pod was deleted and its node n1 does not answer"
	b := &build{pod: pod(kaniko.ContainerKaniko), working: true}
	if err := b.explain(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("build: %v", err)
	}
}
