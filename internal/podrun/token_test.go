package podrun

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/failure"
	"kiln/internal/kube/kubetest"
)

// refusing is a client whose lists are answered with 401 while refused says so.
func refusing(refused func() bool) Client {
	pod := aPod("1")
	pod.Status.Phase = corev1.PodSucceeded
	kube := kubetest.New(pod)
	kube.PrependReactor("list", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
		if !refused() {
			return false, nil, nil
		}
		return true, nil, apierrors.NewUnauthorized("Unauthorized")
	})
	return Client{Kube: kube, Namespace: pod.Namespace}
}

// TestWatchWithoutToken: a watch ends where the service account is gone for good, and
// outlasts an API server that does not know it for a while.
func TestWatchWithoutToken(t *testing.T) {
	t.Run("for good", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var seen []corev1.PodPhase
			err := refusing(func() bool { return true }).Watch(t.Context(), "p", phases(&seen, corev1.PodSucceeded))
			if failure.Of(err) != failure.TokenRefused {
				t.Errorf("error %v, reason %s", err, failure.Of(err))
			}
			if took := time.Since(began); took < tokenPatience || took > tokenPatience+2*retryCap {
				t.Errorf("ended after %v", took)
			}
		})
	})
	t.Run("for a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var seen []corev1.PodPhase
			client := refusing(func() bool { return time.Since(began) < tokenPatience/2 })
			if err := client.Watch(t.Context(), "p", phases(&seen, corev1.PodSucceeded)); err != nil {
				t.Error(err)
			}
		})
	})
}
