//go:build e2e

package e2e_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/suite"
)

// TestLoad: on a node where twenty processes want the processor, each byte arrives of what
// a step in a job container prints, and each line of an action.
func TestLoad(t *testing.T) {
	long(t)
	f := suite.New(t, "load", nil)
	j := f.Prepare(t, debianJob(), nil)
	end := loadNode(t, f)
	wantOutput(t, j, 500_000)
	wantLongLog(t, f)
	end()
	j.End(t)
	f.WantNothingLeft(t)
}

// loadNode has twenty processes busy beside the runner until end is called.
func loadNode(t *testing.T, f *suite.Fixture) (end func()) {
	t.Helper()
	const busy = `for n in $(seq 20); do while :; do :; done & done; echo busy; wait`
	pods := f.Kube.CoreV1().Pods(f.Namespace)
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "load"},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: new(int64(0)),
			Affinity:   suite.OnNode(f.PodNow(t, f.Pod).Spec.NodeName),
			Containers: []corev1.Container{{Name: "load", Image: f.Busybox(), Command: []string{"sh", "-c", busy}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.AwaitLog(t.Context(), f.Namespace, pod.Name, "load", "busy"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := pods.Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
}
