package imagebuild

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/kube/kubetest"
	"kiln/internal/podrun"
	"kiln/internal/podwait"
	"kiln/internal/steplog"
)

// anOrder is an order of a step in the namespace ci of kube, and what its author reads.
func anOrder(kube *kubetest.Client) (*order, *strings.Builder) {
	var out strings.Builder
	settings := Settings{KanikoImage: config.KanikoImage, PendingTimeout: time.Minute, BuildTimeout: 2 * time.Minute}
	builder := &Builder{options: Options{
		Pods: podrun.Client{Kube: kube, Namespace: "ci"}, Namespace: "ci", Settings: settings, Logger: zap.NewNop(),
	}}
	return &order{
		builder: builder, plan: &plan{},
		who:    Asker{ID: "abcdefghijklmnop", Log: steplog.New(&out, "", false), Times: steplog.NewTimes(nil), Logger: zap.NewNop()},
		source: Source{Dockerfile: "Dockerfile", Place: steplog.Place{File: "Dockerfile", Local: true}},
	}, &out
}

// buildSpec is a build pod as this runner would make it.
func buildSpec() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "kiln-build-x", Namespace: "ci", UID: "1"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "kaniko", Image: "kaniko"}, {Name: "gate", Image: "kiln"}}},
	}
}

// TestStranger looks at pods that have the name of a build.
func TestStranger(t *testing.T) {
	sidecar := func(pod *corev1.Pod) {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "mesh", Image: "mesh"})
	}
	for name, tt := range map[string]struct {
		change func(*corev1.Pod)
		admit  func(*corev1.Pod) // what admission does to every pod
		want   string
	}{
		"alive and the same": {func(*corev1.Pod) {}, nil, ""},
		"being deleted": {func(p *corev1.Pod) {
			p.DeletionTimestamp = new(metav1.Now())
		}, nil, "it is being deleted"},
		"over": {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, nil, "it has ended"},
		"its gate has ended": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "gate", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
		}, nil, "it has ended"},
		"another image":               {func(p *corev1.Pod) { p.Spec.Containers[1].Image = "evil" }, nil, "it is not what kiln makes"},
		"a sidecar that nobody knows": {sidecar, nil, "it is not what kiln makes"},
		"a sidecar that all get":      {sidecar, sidecar, ""},
		"another sidecar":             {func(p *corev1.Pod) { sidecar(p); p.Spec.Containers[2].Image = "evil" }, sidecar, "it is not what kiln makes"},
	} {
		t.Run(name, func(t *testing.T) {
			kube := kubetest.New()
			kube.PrependReactor("create", "pods", func(action kubetesting.Action) (bool, runtime.Object, error) {
				create := action.(kubetesting.CreateActionImpl)
				if options := create.GetCreateOptions(); len(options.DryRun) == 0 {
					t.Error("a pod was really created")
				}
				pod := create.GetObject().(*corev1.Pod).DeepCopy()
				if tt.admit != nil {
					tt.admit(pod)
				}
				return true, pod, nil
			})
			o, _ := anOrder(kube)
			pod := buildSpec()
			tt.change(pod)
			if got := o.builder.stranger(t.Context(), pod, buildSpec()); got != tt.want {
				t.Errorf("stranger = %q, want %q", got, tt.want)
			}
		})
	}
}

// TestRefusedPod: the reason is that of what the API server said.
func TestRefusedPod(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for _, tt := range []struct {
		err  error
		want failure.Reason
	}{
		{apierrors.NewForbidden(pods, "p", nil), failure.AdmissionRefused},
		{apierrors.NewUnauthorized("Unauthorized"), failure.TokenRefused},
		{apierrors.NewTooManyRequests("slow down", 1), failure.ClusterUnreachable},
	} {
		kube := kubetest.New()
		kube.PrependReactor("create", "pods", func(kubetesting.Action) (bool, runtime.Object, error) { return true, nil, tt.err })
		_, err := podrun.Client{Kube: kube, Namespace: "ci"}.CreatePod(t.Context(), &corev1.Pod{})
		if got := createFailure(err); failure.Of(got) != tt.want || !strings.Contains(got.Error(), "create the build pod") {
			t.Errorf("%v: %s, want %s", got, failure.Of(got), tt.want)
		}
	}
}

// refusing is an order whose API server answers the first pods to be created as
// given and takes the rest; asked counts those that were asked for.
func refusing(answers ...error) (o *order, out *strings.Builder, asked *int) {
	kube := kubetest.New()
	o, out = anOrder(kube)
	asked = new(int)
	kube.PrependReactor("create", "pods", func(action kubetesting.Action) (bool, runtime.Object, error) {
		*asked++
		if *asked <= len(answers) {
			return true, nil, answers[*asked-1]
		}
		return true, action.(kubetesting.CreateActionImpl).GetObject(), nil
	})
	return o, out, asked
}

func quotaError(text string) error {
	return apierrors.NewForbidden(corev1.Resource("pods"), "kiln-build-x", errors.New(text))
}

const fullQuota = "exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3"

// A build waits for a quota that other pods fill, and says so once for each
// reason.
func TestBuildWaitsForQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, out, asked := refusing(quotaError(fullQuota), quotaError(fullQuota), quotaError("exceeded quota: other, requested: pods=1, used: pods=2, limited: pods=2"))
		began := time.Now()
		pod, err := o.admit(t.Context(), buildSpec())
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
				o, _, asked := refusing(err)
				if _, got := o.admit(t.Context(), buildSpec()); got == nil || *asked != 1 {
					t.Errorf("%v after %d tries", got, *asked)
				}
			})
		})
	}
}

// TestQuotaGetsTooSmall while it is waited for: there is nothing to wait for any more.
func TestQuotaGetsTooSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		small := quotaError("exceeded quota: q, requested: limits.memory=2Gi, used: limits.memory=0, limited: limits.memory=1Gi")
		o, _, asked := refusing(quotaError(fullQuota), small, small)
		if _, err := o.admit(t.Context(), buildSpec()); !podrun.Refused(err) || *asked != 2 {
			t.Errorf("%v after %d tries", err, *asked)
		}
	})
}

func TestQuotaStaysFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers []error
		for range 1000 {
			answers = append(answers, quotaError(fullQuota))
		}
		o, _, _ := refusing(answers...)
		began := time.Now()
		_, err := o.admit(t.Context(), buildSpec())
		if failure.Of(err) != failure.Unschedulable || !strings.Contains(err.Error(), "KILN_PENDING_TIMEOUT): the cluster refuses the pod: exceeded quota: q") {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("cancelled by the runner")
		time.AfterFunc(time.Second, func() { cancel(cause) })
		o, _, _ = refusing(answers...)
		if _, err := o.admit(ctx, buildSpec()); !errors.Is(err, cause) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
