package podrun

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/kube/kubetest"
)

// podsResource names pods in errors.
var podsResource = schema.GroupResource{Resource: "pods"}

func onDelete(answer error, seen *[]metav1.DeleteOptions) kubetesting.ReactionFunc {
	return func(action kubetesting.Action) (bool, runtime.Object, error) {
		*seen = append(*seen, action.(kubetesting.DeleteActionImpl).DeleteOptions)
		return true, nil, answer
	}
}

func TestDelete(t *testing.T) {
	uid, version := types.UID("1"), "7"
	conflict := apierrors.NewConflict(podsResource, "p", nil)
	tests := map[string]struct {
		only   *metav1.Preconditions
		answer error
		want   bool // an error
		tries  bool // more than one
	}{
		"done":                        {},
		"not found":                   {answer: apierrors.NewNotFound(podsResource, "p")},
		"another pod has the name":    {only: &metav1.Preconditions{UID: &uid}, answer: conflict},
		"changed meanwhile":           {only: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}, answer: conflict, want: true},
		"conflict out of the blue":    {answer: conflict, want: true},
		"server is not in the mood":   {answer: apierrors.NewInternalError(http.ErrAbortHandler), want: true, tries: true},
		"no answer":                   {answer: http.ErrServerClosed, want: true, tries: true},
		"not allowed to delete a pod": {answer: apierrors.NewForbidden(podsResource, "p", nil), want: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kube := kubetest.New()
				var seen []metav1.DeleteOptions
				kube.PrependReactor("delete", "pods", onDelete(test.answer, &seen))
				err := Client{Kube: kube, Namespace: "ns"}.Delete(briefly(t), "p", 3, test.only)
				if (err != nil) != test.want || (len(seen) > 1) != test.tries {
					t.Errorf("%d tries, error = %v; want an error: %v, and several: %v", len(seen), err, test.want, test.tries)
				}
				want := metav1.DeleteOptions{GracePeriodSeconds: new(int64(3)), Preconditions: test.only}
				for _, got := range seen {
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("options differ (-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

// briefly returns a context with a deadline in the bubble's time.
func briefly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestDeleteRepeatsWhatMayPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kube := kubetest.New()
		answers := []error{http.ErrServerClosed, apierrors.NewTooManyRequests("busy", 0), nil}
		kube.PrependReactor("delete", "secrets", func(kubetesting.Action) (bool, runtime.Object, error) {
			answer := answers[0]
			answers = answers[1:]
			return true, nil, answer
		})
		if err := (Client{Kube: kube, Namespace: "ns"}).DeleteSecret(briefly(t), Object{Name: "s"}); err != nil || len(answers) > 0 {
			t.Errorf("error = %v, %d answers left", err, len(answers))
		}
	})
}

// podOf is a pod of the Job called j.
func podOf(uid, job types.UID) *corev1.Pod {
	pod := aPod(uid)
	pod.Name = "p" + string(uid)
	pod.Labels = map[string]string{batchv1.JobNameLabel: "j"}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "j", UID: job, Controller: new(true)}}
	return pod
}

// TestDeleteJob deletes a Job with its pods, and nothing that only has the name
// or the label.
func TestDeleteJob(t *testing.T) {
	mark := Mark{Labels: map[string]string{"role": "action"}, Owner: "runner"}
	ours := metav1.ObjectMeta{
		Namespace: "ns", Name: "j", UID: "job", Labels: map[string]string{"role": "action"},
		OwnerReferences: []metav1.OwnerReference{{UID: "runner"}},
	}
	labelled := podOf("2", "job")
	labelled.OwnerReferences = nil
	for name, tt := range map[string]struct {
		job    Object
		change func(*metav1.ObjectMeta) // nil: there is no Job
		left   []string
		kept   bool
	}{
		"known":                      {Object{"j", "job"}, func(*metav1.ObjectMeta) {}, []string{"other", "p2", "p3"}, false},
		"only its name is known":     {Object{Name: "j"}, func(*metav1.ObjectMeta) {}, []string{"other", "p2", "p3"}, false},
		"gone, its pods are left":    {Object{Name: "j"}, nil, []string{"other", "p2"}, false},
		"not labelled":               {Object{Name: "j"}, func(m *metav1.ObjectMeta) { m.Labels = nil }, []string{"other", "p1", "p2", "p3"}, true},
		"of another role":            {Object{Name: "j"}, func(m *metav1.ObjectMeta) { m.Labels["role"] = "x" }, []string{"other", "p1", "p2", "p3"}, true},
		"of another runner":          {Object{Name: "j"}, func(m *metav1.ObjectMeta) { m.OwnerReferences[0].UID = "x" }, []string{"other", "p1", "p2", "p3"}, true},
		"of nobody":                  {Object{Name: "j"}, func(m *metav1.ObjectMeta) { m.OwnerReferences = nil }, []string{"other", "p1", "p2", "p3"}, true},
		"replaced since it was made": {Object{"j", "older"}, func(*metav1.ObjectMeta) {}, []string{"other", "p1", "p2", "p3"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			other := aPod("9")
			other.Name = "other"
			kube := kubetest.New(podOf("1", "job"), labelled, podOf("3", "job of before"), other)
			if tt.change != nil {
				job := &batchv1.Job{ObjectMeta: *ours.DeepCopy()}
				tt.change(&job.ObjectMeta)
				if err := kube.Tracker().Add(job); err != nil {
					t.Fatal(err)
				}
			}
			kube.PrependReactor("delete", "jobs", checkUID("job"))
			client := Client{Kube: kube, Namespace: "ns"}
			if err := client.DeleteJob(t.Context(), tt.job, mark, 0); err != nil {
				t.Fatal(err)
			}
			pods, err := kube.Pods("ns").List(t.Context(), metav1.ListOptions{})
			var left []string
			for _, pod := range pods.Items {
				left = append(left, pod.Name)
			}
			if diff := cmp.Diff(tt.left, left); err != nil || diff != "" {
				t.Errorf("pods left (-want +got): %s, error = %v", diff, err)
			}
			if _, err := kube.Jobs("ns").Get(t.Context(), "j", metav1.GetOptions{}); (err == nil) != tt.kept {
				t.Errorf("the Job was kept: %v, want %v", err, tt.kept)
			}
		})
	}
}

// checkUID answers as the API server does where another object has the name.
func checkUID(uid types.UID) kubetesting.ReactionFunc {
	return func(action kubetesting.Action) (bool, runtime.Object, error) {
		only := action.(kubetesting.DeleteActionImpl).DeleteOptions.Preconditions
		if only == nil || *only.UID == uid {
			return false, nil, nil
		}
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: action.GetResource().Resource}, "x", nil)
	}
}

func TestDeleteSecret(t *testing.T) {
	for name, tt := range map[string]struct {
		secret Object
		left   int
	}{
		"known":    {Object{"s", "1"}, 0},
		"by name":  {Object{Name: "s"}, 0},
		"another":  {Object{"s", "2"}, 1},
		"not here": {Object{"t", "1"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			kube := kubetest.New(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s", UID: "1"}})
			kube.PrependReactor("delete", "secrets", checkUID("1"))
			if err := (Client{Kube: kube, Namespace: "ns"}).DeleteSecret(t.Context(), tt.secret); err != nil {
				t.Fatal(err)
			}
			secrets, err := kube.Secrets("ns").List(t.Context(), metav1.ListOptions{})
			if err != nil || len(secrets.Items) != tt.left {
				t.Errorf("%d Secrets left, error = %v; want %d", len(secrets.Items), err, tt.left)
			}
		})
	}
}

func TestDeleteJobTriesBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kube := kubetest.New()
		labelled := podOf("1", "job")
		var jobs, pods []metav1.DeleteOptions
		kube.PrependReactor("delete", "jobs", onDelete(apierrors.NewInternalError(http.ErrAbortHandler), &jobs))
		kube.PrependReactor("delete", "pods", onDelete(nil, &pods))
		kube.PrependReactor("list", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
			return true, &corev1.PodList{Items: []corev1.Pod{*labelled}}, nil
		})
		err := Client{Kube: kube, Namespace: "ns"}.DeleteJob(briefly(t), Object{"j", "job"}, Mark{}, 0)
		contains(t, err, "delete jobs ns/j")
		if len(pods) != 1 || len(jobs) < 2 {
			t.Errorf("deleted %d pods in %d tries for the job, want 1 in several", len(pods), len(jobs))
		}
	})
}

func TestDeleteJobGrace(t *testing.T) {
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	tests := map[string]struct {
		status corev1.PodStatus
		want   int64
	}{
		"not scheduled":         {want: 0},
		"pulling":               {status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: waiting}}}, want: 0},
		"running":               {status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: waiting}, {State: running}}}, want: 5},
		"an init container ran": {status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{State: running}}}, want: 5},
		"an init container ended": {status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{{State: ended}},
			ContainerStatuses:     []corev1.ContainerStatus{{State: waiting}},
		}, want: 5},
		"ended": {status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{{State: ended}},
			ContainerStatuses:     []corev1.ContainerStatus{{State: ended}, {State: ended}},
		}, want: 0},
		"one of two ended": {status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: ended}, {State: running}}}, want: 5},
		"ended beside a sidecar": {status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{{State: running}},
			ContainerStatuses:     []corev1.ContainerStatus{{State: ended}},
		}, want: 5},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := podOf("1", "job")
			pod.Status = test.status
			kube := kubetest.New(pod)
			var seen []metav1.DeleteOptions
			kube.PrependReactor("delete", "pods", onDelete(nil, &seen))
			if err := (Client{Kube: kube, Namespace: "ns"}).DeleteJob(t.Context(), Object{"j", "job"}, Mark{}, 5); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]metav1.DeleteOptions{{GracePeriodSeconds: &test.want, Preconditions: &metav1.Preconditions{UID: new(types.UID("1"))}}}, seen); diff != "" {
				t.Errorf("options differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCreateRefused(t *testing.T) {
	tests := map[string]struct{ message, want string }{
		"PodSecurity": {
			`violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false`,
			"label the namespace ns with pod-security.kubernetes.io/enforce=baseline",
		},
		"quota":          {"exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5", "raise the ResourceQuota of namespace ns"},
		"quota defaults": {"failed quota: q: must specify limits.cpu", "a LimitRange can supply them"},
		"RBAC": {
			`User "system:serviceaccount:ns:kiln" cannot create resource "pods" in API group "" in the namespace "ns"`,
			`kiln's service account needs the verb "create" on "pods" in namespace ns`,
		},
		"a webhook": {`admission webhook "policy" denied the request`, `denied the request`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			kube := kubetest.New()
			kube.PrependReactor("create", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
				return true, nil, &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden, Code: 403, Message: test.message}}
			})
			_, err := Client{Kube: kube, Namespace: "ns"}.CreatePod(t.Context(), aPod(""))
			contains(t, err, "create pods ns/p", test.want)
			if !apierrors.IsForbidden(err) {
				t.Errorf("error %v does not wrap the API's", err)
			}
		})
	}
}

func TestCreate(t *testing.T) {
	client := Client{Kube: kubetest.New(), Namespace: "ns"}
	if _, err := client.CreatePod(t.Context(), aPod("")); err != nil {
		t.Error(err)
	}
	if _, err := client.CreatePod(t.Context(), aPod("")); !apierrors.IsAlreadyExists(err) {
		t.Errorf("second pod: error = %v, want AlreadyExists", err)
	}
	if _, err := client.CreateJob(t.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j"}}); err != nil {
		t.Error(err)
	}
	if _, err := client.CreateSecret(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}); err != nil {
		t.Error(err)
	}
	if err := client.DeleteSecret(t.Context(), Object{Name: "s"}); err != nil {
		t.Error(err)
	}
	if pod, err := client.Pod(t.Context(), "p"); err != nil || pod.Name != "p" {
		t.Errorf("pod = %v, error = %v", pod, err)
	}
}
