package request

import (
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
)

// TestACreateWithoutAnswerIsCleanedUp: the object may be there all the same.
func TestACreateWithoutAnswerIsCleanedUp(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "jobs"}, "kiln-1", nil)
	for name, tt := range map[string]struct {
		resource string
		answer   error
		want     []string
	}{
		"Secret lost":    {"secrets", io.ErrUnexpectedEOF, []string{"create secrets", "delete secrets"}},
		"Secret refused": {"secrets", forbidden, []string{"create secrets"}},
		"Job lost":       {"jobs", io.ErrUnexpectedEOF, []string{"create secrets", "create jobs", "get jobs", "list pods", "delete secrets"}},
		"Job refused":    {"jobs", forbidden, []string{"create secrets", "create jobs", "delete secrets"}},
	} {
		t.Run(name, func(t *testing.T) {
			kube := fake.NewClientset()
			kube.PrependReactor("create", tt.resource, func(kubetesting.Action) (bool, runtime.Object, error) {
				return true, nil, tt.answer
			})
			s := aStep(t, hostileID, kube)
			meta := metav1.ObjectMeta{Name: "kiln-1", Namespace: "ci"}
			if code, err := s.runJob(context.Background(), &corev1.Secret{ObjectMeta: meta}, &batchv1.Job{ObjectMeta: meta}, false); code != 1 || err == nil {
				t.Errorf("exit code %d, error %v", code, err)
			}
			var did []string
			for _, action := range kube.Actions() {
				did = append(did, action.GetVerb()+" "+action.GetResource().Resource)
			}
			if diff := cmp.Diff(tt.want, did); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}
