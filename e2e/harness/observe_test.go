package harness

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// seenPod is a pod with one container whose specification has the marker.
func seenPod(name, uid, container, marker string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(uid)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: container, Image: "app:" + marker}}},
	}
}

func TestObserverOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch.NewFake()
		o := newObserver(w)
		defer o.Stop()
		w.Add(seenPod("a", "1", "kaniko", "one"))
		w.Add(seenPod("a", "2", "kaniko", "one")) // another pod of the name
		w.Add(seenPod("b", "3", "job", "one"))
		w.Add(seenPod("c", "4", "kaniko", "two"))
		w.Modify(seenPod("a", "2", "kaniko", "one"))
		w.Delete(seenPod("a", "2", "kaniko", "one"))
		synctest.Wait()
		var types []watch.EventType
		for _, s := range o.Of("kaniko", "one") {
			if s.Pod.UID != "2" {
				t.Errorf("Of has the pod %s, want the last one alone", s.Pod.UID)
			}
			types = append(types, s.Type)
		}
		if len(types) != 3 || types[0] != watch.Added || types[2] != watch.Deleted {
			t.Errorf("Of has the states %v, want added to deleted", types)
		}
		if last, found := o.Last("job", "one"); !found || last.Pod.UID != "3" {
			t.Errorf("Last = %v, %v; want the job's pod", last.Pod, found)
		}
		if _, found := o.Last("job", "two"); found {
			t.Error("Last found a pod that there was not")
		}
	})
}

func TestObserverAwait(t *testing.T) {
	tests := map[string]struct {
		act  func(*watch.FakeWatcher, context.CancelFunc)
		want string // "" is no error, "…" waits on
	}{
		"it comes":            {func(w *watch.FakeWatcher, _ context.CancelFunc) { w.Add(seenPod("a", "1", "kaniko", "one")) }, ""},
		"another comes":       {func(w *watch.FakeWatcher, _ context.CancelFunc) { w.Add(seenPod("b", "1", "kaniko", "two")) }, "…"},
		"the watch ends":      {func(w *watch.FakeWatcher, _ context.CancelFunc) { w.Stop() }, "no longer watched"},
		"the context is over": {func(_ *watch.FakeWatcher, cancel context.CancelFunc) { cancel() }, "context canceled"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch.NewFake()
				o := newObserver(w)
				defer o.Stop()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := errors.New("…")
				go func() {
					err = o.Await(ctx, func() bool { return len(o.Of("kaniko", "one")) > 0 })
				}()
				synctest.Wait()
				tt.act(w, cancel)
				synctest.Wait()
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("Await = %v, want %q", err, tt.want)
				}
			})
		})
	}
}
