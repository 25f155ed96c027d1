package podrun

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	kubetesting "k8s.io/client-go/testing"

	"kiln/internal/kube/kubetest"
)

// phases collects the phases a watch reports and ends at the last one given.
func phases(seen *[]corev1.PodPhase, last corev1.PodPhase) OnChange {
	return func(pod *corev1.Pod) (bool, error) {
		*seen = append(*seen, pod.Status.Phase)
		return pod.Status.Phase == last, nil
	}
}

// until ends a test that hangs.
func until(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestWatchFollowsChanges(t *testing.T) {
	api, client := newAPIServer(t, aPod("1"))
	var seen []corev1.PodPhase
	err := client.Watch(until(t), "p", func(pod *corev1.Pod) (bool, error) {
		seen = append(seen, pod.Status.Phase)
		switch pod.Status.Phase {
		case corev1.PodPending:
			api.change(runs)
		case corev1.PodRunning:
			api.change(exits(0))
		}
		return pod.Status.Phase == corev1.PodSucceeded, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("phases differ (-want +got):\n%s", diff)
	}
}

func TestWatchSurvives(t *testing.T) {
	troubles := map[string]func(w http.ResponseWriter){
		"an expired resource version": func(w http.ResponseWriter) {
			refuse(w, http.StatusGone, metav1.StatusReasonExpired, "too old resource version: 1 (2)")
		},
		"an expiry event": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410,"reason":"Expired"}}` + "\n"))
		},
		"a clean end":            func(http.ResponseWriter) {},
		"a broken connection":    func(http.ResponseWriter) { abort() },
		"an unavailable server":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a garbled event":        func(w http.ResponseWriter) { _, _ = w.Write([]byte("{\"type\":")) },
		"an internal error once": func(w http.ResponseWriter) { refuse(w, 500, metav1.StatusReasonInternalError, "etcd") },
	}
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			api, client := newAPIServer(t, aPod("1"))
			var calls atomic.Int32
			api.onWatch = func(w http.ResponseWriter, _ *http.Request) bool {
				if calls.Add(1) > 2 {
					return false
				}
				if calls.Load() == 2 {
					api.change(exits(0))
				}
				trouble(w)
				return true
			}
			var seen []corev1.PodPhase
			if err := client.Watch(until(t), "p", phases(&seen, corev1.PodSucceeded)); err != nil {
				t.Errorf("Watch: %v", err)
			}
		})
	}
}

func TestWatchSurvivesDownServer(t *testing.T) {
	api, client := newAPIServer(t, aPod("1"))
	var lists atomic.Int32
	api.onList = func(http.ResponseWriter, *http.Request) bool {
		if lists.Add(1) > 2 {
			return false
		}
		abort()
		return true
	}
	var seen []corev1.PodPhase
	if err := client.Watch(until(t), "p", phases(&seen, corev1.PodPending)); err != nil {
		t.Errorf("Watch: %v", err)
	}
}

func TestWatchGone(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		_, client := newAPIServer(t, nil)
		var seen []corev1.PodPhase
		if err := client.Watch(until(t), "p", phases(&seen, "")); !errors.Is(err, ErrGone) {
			t.Errorf("error = %v, want ErrGone", err)
		}
	})
	t.Run("deleted, with a last state", func(t *testing.T) {
		api, client := newAPIServer(t, aPod("1"))
		calls := 0
		err := client.Watch(until(t), "p", func(*corev1.Pod) (bool, error) {
			if calls++; calls == 1 {
				api.remove()
			}
			return false, nil
		})
		if !errors.Is(err, ErrGone) || calls != 2 {
			t.Errorf("error = %v after %d calls, want ErrGone after 2", err, calls)
		}
	})
	t.Run("replaced while the watch was broken", func(t *testing.T) {
		api, client := newAPIServer(t, aPod("1"))
		api.onWatch = func(http.ResponseWriter, *http.Request) bool {
			api.remove()
			api.add(aPod("2"))
			return true
		}
		var seen []corev1.PodPhase
		if err := client.Watch(until(t), "p", phases(&seen, "")); !errors.Is(err, ErrGone) || len(seen) != 1 {
			t.Errorf("error = %v after %d calls, want ErrGone after 1", err, len(seen))
		}
	})
}

func TestWatchEnds(t *testing.T) {
	t.Run("callback error", func(t *testing.T) {
		_, client := newAPIServer(t, aPod("1"))
		mine := errors.New("mine")
		err := client.Watch(until(t), "p", func(*corev1.Pod) (bool, error) { return false, mine })
		if !errors.Is(err, mine) {
			t.Errorf("error = %v, want the callback's", err)
		}
	})
	t.Run("missing right", func(t *testing.T) {
		api, client := newAPIServer(t, aPod("1"))
		api.onWatch = func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, 403, metav1.StatusReasonForbidden,
				`pods is forbidden: User "system:serviceaccount:ns:kiln" cannot watch resource "pods" in API group "" in the namespace "ns"`)
			return true
		}
		var seen []corev1.PodPhase
		contains(t, client.Watch(until(t), "p", phases(&seen, "")), `needs the verb "watch" on "pods" in namespace ns`)
	})
	t.Run("context, with the trouble", func(t *testing.T) {
		api, client := newAPIServer(t, aPod("1"))
		ctx, cancel := context.WithCancel(t.Context())
		api.onList = func(w http.ResponseWriter, _ *http.Request) bool {
			defer cancel()
			refuse(w, 500, metav1.StatusReasonInternalError, "etcd is down")
			return true
		}
		var seen []corev1.PodPhase
		if err := client.Watch(ctx, "p", phases(&seen, "")); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v, want context.Canceled", err)
		}
	})
}

func TestWatchJobPodWaits(t *testing.T) {
	api, client := newAPIServer(t, nil)
	api.onWatch = func(_ http.ResponseWriter, r *http.Request) bool {
		if got := r.URL.Query().Get("labelSelector"); got != "batch.kubernetes.io/job-name=j" {
			t.Errorf("labelSelector = %q", got)
		}
		go api.add(with(aPod("1"), exits(3)))
		return false
	}
	var got *corev1.Pod
	err := client.WatchJobPod(until(t), "j", func(pod *corev1.Pod) (bool, error) {
		got = pod
		return Over(pod, "job"), nil
	})
	if err != nil || got.UID != "1" {
		t.Errorf("pod = %v, error = %v", got, err)
	}
}

func TestWaitGone(t *testing.T) {
	tests := map[string]struct {
		holder *corev1.Pod
		uid    types.UID
	}{
		"already":  {holder: nil, uid: "1"},
		"replaced": {holder: aPod("2"), uid: "1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, client := newAPIServer(t, test.holder)
			if err := client.WaitGone(until(t), "p", test.uid); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("later", func(t *testing.T) {
		api, client := newAPIServer(t, aPod("1"))
		api.onWatch = func(http.ResponseWriter, *http.Request) bool { go api.remove(); return false }
		if err := client.WaitGone(until(t), "p", ""); err != nil {
			t.Error(err)
		}
	})
}

// TestWatchAnotherPod tells of a second pod where the first was not said to have gone: of
// the name, where the first has then, and of a Job, whose first pod may be ending still.
func TestWatchAnotherPod(t *testing.T) {
	for name, tt := range map[string]struct {
		watch func(Client, context.Context, OnChange) error
		want  error
		seen  []types.UID
	}{
		"of the name": {func(c Client, ctx context.Context, f OnChange) error { return c.Watch(ctx, "p", f) }, ErrGone, []types.UID{"1"}},
		"of the Job":  {func(c Client, ctx context.Context, f OnChange) error { return c.WatchJobPod(ctx, "j", f) }, nil, []types.UID{"1", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			first := aPod("1")
			first.Labels = map[string]string{batchv1.JobNameLabel: "j"}
			kube := kubetest.New(first)
			events := watch.NewFakeWithChanSize(2, false)
			events.Add(with(aPod("2"), exits(0)))
			events.Modify(with(first, exits(3)))
			kube.PrependWatchReactor("pods", kubetesting.DefaultWatchReactor(events, nil))
			var seen []types.UID
			err := tt.watch(Client{Kube: kube, Namespace: first.Namespace}, until(t), func(pod *corev1.Pod) (bool, error) {
				seen = append(seen, pod.UID)
				return Over(pod, "job"), nil
			})
			if diff := cmp.Diff(tt.seen, seen); diff != "" || !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v; pods (-want +got):\n%s", err, tt.want, diff)
			}
		})
	}
}
