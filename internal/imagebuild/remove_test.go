package imagebuild

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/kube/kubetest"
)

// TestRemoveWaits for a pod that goes later than the API server took its deletion, as one
// with a finalizer does: until then its name is not free.
func TestRemoveWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const after = 5 * time.Second
		squatter := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "kiln-build-x", UID: "1"}}
		kube := kubetest.New(squatter)
		kube.PrependReactor("delete", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
			time.AfterFunc(after, func() {
				if err := kube.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "ci", "kiln-build-x"); err != nil {
					t.Error(err)
				}
			})
			return true, nil, nil
		})
		o, _ := anOrder(kube)
		began := time.Now()
		if err := o.remove(t.Context(), squatter); !errors.Is(err, errAgain) || time.Since(began) != after {
			t.Errorf("removed after %s: %v", time.Since(began), err)
		}
	})
}

// TestPauseEnds with the step, and with what that ended for.
func TestPauseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("cancelled by the runner")
		const after = 100 * time.Millisecond
		time.AfterFunc(after, func() { cancel(cause) })
		o, _ := anOrder(kubetest.New())
		began := time.Now()
		if err := o.pause(ctx, 1, true); !errors.Is(err, cause) || time.Since(began) != after {
			t.Errorf("ended after %s: %v", time.Since(began), err)
		}
	})
}
