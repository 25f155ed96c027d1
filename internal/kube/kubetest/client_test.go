package kubetest_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"kiln/internal/kube"
	"kiln/internal/kube/kubetest"
)

// pod is a pod with a label.
func pod(name, role string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"role": role}}}
}

// TestObjects changes objects as the API would, and finds them by their labels.
func TestObjects(t *testing.T) {
	var client kube.Interface = kubetest.New(pod("a", "build"), pod("b", "job"))
	pods := client.Pods("ns")
	if _, err := pods.Create(t.Context(), pod("c", "build"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Patch(t.Context(), "b", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"role":"build"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := pods.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: "role=build"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range list.Items {
		names = append(names, p.Name)
	}
	if diff := cmp.Diff([]string{"b", "c"}, names); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	if list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: "role=job"}); err != nil || len(list.Items) > 0 {
		t.Errorf("pods of no label: %v, %v", list.Items, err)
	}
	if _, err := client.Jobs("ns").Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("no Job: %v", err)
	}
}

// TestReactors answers in the objects' place, and tells what was asked.
func TestReactors(t *testing.T) {
	client := kubetest.New(pod("a", "build"))
	refused := errors.New("refused")
	client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, refused })
	if _, err := client.Pods("ns").List(t.Context(), metav1.ListOptions{}); !errors.Is(err, refused) {
		t.Errorf("listed with %v", err)
	}
	if _, err := client.Pods("ns").Get(t.Context(), "a", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	var asked []string
	for _, action := range client.Actions() {
		asked = append(asked, action.GetVerb()+" "+action.GetResource().Resource)
	}
	if diff := cmp.Diff([]string{"list pods", "get pods"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestWatch tells of what is made, past the reactors too.
func TestWatch(t *testing.T) {
	client := kubetest.New()
	events, err := client.Jobs("ns").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	if err := client.Tracker().Add(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "j"}}); err != nil {
		t.Fatal(err)
	}
	event := <-events.ResultChan()
	if job, ok := event.Object.(*batchv1.Job); !ok || job.Name != "j" || event.Type != watch.Added {
		t.Errorf("event %v", event)
	}
}
