package event_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"kiln/internal/event"
	"kiln/internal/kube/kubetest"
)

func TestEventIsAboutTheRunnerPod(t *testing.T) {
	kube := kubetest.New()
	recorder := event.NewRecorder(kube, "runners")
	recorder.Record(event.Pod{Name: "runner-1", UID: "u"}, event.BuildFailed, "request r: run_failed")
	recorder.Wait()
	list, err := kube.Events("runners").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	got := list.Items[0]
	if got.InvolvedObject.Kind != "Pod" || got.InvolvedObject.Name != "runner-1" || got.InvolvedObject.UID != "u" ||
		got.Type != corev1.EventTypeWarning || got.Reason != "KilnBuildFailed" || got.Message != "request r: run_failed" || got.FirstTimestamp.IsZero() {
		t.Errorf("event = %+v", got)
	}
}

func TestMissingRightIsRemembered(t *testing.T) {
	kube := kubetest.New()
	asked := 0
	kube.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		asked++
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", nil)
	})
	recorder := event.NewRecorder(kube, "runners")
	for range 3 {
		recorder.Record(event.Pod{}, event.BuildStarted, "")
		recorder.Wait()
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

func TestNilRecordsNothing(*testing.T) {
	var recorder *event.Recorder
	recorder.Record(event.Pod{}, event.BuildStarted, "")
	recorder.Wait() // neither may panic
}
