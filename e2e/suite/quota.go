package suite

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
)

// Quota lets the namespace have that many pods and no more, and returns when the cluster
// has counted those that are there: before, it refuses with other words. It lasts until
// remove is called, or the test ends.
func (f *Fixture) Quota(t *testing.T, name, pods string) (remove func()) {
	t.Helper()
	quotas := f.Kube.CoreV1().ResourceQuotas(f.Namespace)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(pods)}},
	}
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	remove = func() {
		if err := quotas.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	}
	t.Cleanup(remove)
	err := harness.Eventually(t.Context(), 30*time.Second, func(ctx context.Context) error {
		quota, err := quotas.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if used, counted := quota.Status.Used[corev1.ResourcePods]; !counted || used.Value() < 1 {
			return errors.New("the quota is not counted")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return remove
}
