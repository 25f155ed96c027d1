package request

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
)

// refusing is a step whose API server answers the first pods to be created as
// given and takes the rest; made counts those that were asked for.
func refusing(answers ...error) (s *step, out *strings.Builder, asked *int) {
	s, out = stepWith()
	kube := fake.NewClientset()
	asked = new(int)
	kube.PrependReactor("create", "pods", func(action kubetesting.Action) (bool, runtime.Object, error) {
		*asked++
		if *asked <= len(answers) {
			return true, nil, answers[*asked-1]
		}
		return true, action.(kubetesting.CreateActionImpl).GetObject(), nil
	})
	s.handler = &Handler{operator: Operator{Settings: &config.Settings{PendingTimeout: time.Minute}}, pods: podrun.Client{Kube: kube, Namespace: "ci"}}
	return s, out, asked
}

func quotaError(text string) error {
	return apierrors.NewForbidden(corev1.Resource("pods"), "kiln-build-x", errors.New(text))
}

const fullQuota = "exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3"

// A build waits for a quota that other pods fill, and says so once for each
// reason.
func TestBuildWaitsForQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out, asked := refusing(quotaError(fullQuota), quotaError(fullQuota), quotaError("exceeded quota: other, requested: pods=1, used: pods=2, limited: pods=2"))
		began := time.Now()
		pod, err := s.admit(t.Context(), buildSpec())
		if err != nil || pod == nil || *asked != 4 || time.Since(began) != 3*podwait.Interval {
			t.Errorf("pod %v, %v after %d tries and %s", pod, err, *asked, time.Since(began))
		}
		if got := strings.Count(out.String(), "kiln: waiting: the cluster refuses the pod: exceeded quota: "); got != 2 {
			t.Errorf("said %d times:\n%s", got, out)
		}
	})
}

func TestBuildDoesNotWait(t *testing.T) {
	for name, err := range map[string]error{
		"Pod Security":   quotaError(`violates PodSecurity "restricted:latest"`),
		"a small quota":  quotaError("exceeded quota: q, requested: limits.memory=2Gi, used: limits.memory=0, limited: limits.memory=1Gi"),
		"values unset":   quotaError("failed quota: q: must specify limits.memory for: kaniko"),
		"it is there":    apierrors.NewAlreadyExists(corev1.Resource("pods"), "kiln-build-x"),
		"an error of it": apierrors.NewInternalError(errors.New("etcd")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, asked := refusing(err)
				if _, got := s.admit(t.Context(), buildSpec()); got == nil || *asked != 1 {
					t.Errorf("%v after %d tries", got, *asked)
				}
			})
		})
	}
}

func TestQuotaStaysFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers []error
		for range 1000 {
			answers = append(answers, quotaError(fullQuota))
		}
		s, _, _ := refusing(answers...)
		began := time.Now()
		_, err := s.admit(t.Context(), buildSpec())
		if failure.Of(err) != failure.Unschedulable || !strings.Contains(err.Error(), "KILN_PENDING_TIMEOUT): the cluster refuses the pod: exceeded quota: q") {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("cancelled by the runner")
		time.AfterFunc(time.Second, func() { cancel(cause) })
		s, _, _ = refusing(answers...)
		if _, err := s.admit(ctx, buildSpec()); !errors.Is(err, cause) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
