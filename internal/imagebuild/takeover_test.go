package imagebuild_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/config"
	"kiln/internal/podtest"
)

// TestSquatters has somebody else hold the name of a build, as a pod that is not what
// kiln makes, or not any more.
func TestSquatters(t *testing.T) {
	other := func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "evil" }
	for name, tt := range map[string]struct {
		change func(*corev1.Pod) // of what kiln would make
		faults podtest.Faults
		times  int32 // how often somebody takes the name
		want   ending
		says   string
	}{
		"another pod":          {other, nil, 1, ending{"built", 2, 1, ""}, ""},
		"one more owner's":     {func(pod *corev1.Pod) { other(pod); pod.OwnerReferences = nil }, nil, 1, ending{"built", 2, 1, ""}, ""},
		"a pod that has ended": {func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed }, nil, 1, ending{"built", 2, 1, ""}, ""},
		"one that is being deleted": {func(pod *corev1.Pod) {
			pod.Spec.NodeName = podtest.Node
			pod.DeletionTimestamp = new(metav1.NewTime(time.Now().Add(time.Hour)))
		}, nil, 1, ending{"built", 2, 1, ""}, ""},
		"again and again":       {other, nil, 1000, ending{"internal", maxPods, 0, ""}, "somebody deletes it, or keeps its name"},
		"one that has to stay":  {other, podtest.Always("delete pods", podtest.Forbidden("delete", "pods")), 1, ending{"admission_refused", 1, 0, "pods/squatter"}, "which has the name of this build"},
		"one that does not go":  {other, podtest.Always("delete pods", podtest.Lost()), 1, ending{"cluster_unreachable", 1, 0, "pods/squatter"}, "which has the name of this build"},
		"deleted, no answer":    {other, podtest.Once("delete pods", podtest.Unanswered()), 1, ending{"built", 2, 1, ""}, ""},
		"gone before it's read": {other, nil, -1, ending{"built", 2, 1, ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				spec := w.scout()
				w.at = func(life *podtest.Life, _ int, _ string) bool {
					if life.Pod().Annotations["squatter"] == "" {
						return true
					}
					<-life.Gone()
					return false
				}
				var squatted atomic.Int32
				r := w.runner("a", func(call podtest.Call) podtest.Fault {
					switch {
					case call.Op == "create pods" && squatted.Add(1) <= max(tt.times, -tt.times):
						pod := spec.DeepCopy()
						pod.Annotations = map[string]string{"squatter": "yes"}
						tt.change(pod)
						if err := w.cluster.Add(pod); err != nil {
							t.Error(err)
						}
					case call.Op == "get pods" && call.Count == 1 && tt.times < 0:
						w.cluster.Delete("pods", call.Name)
					case tt.faults != nil:
						return tt.faults(call)
					}
					return podtest.Fault{}
				}, nil)
				outcome, err := r.image(t.Context())
				got := w.ending(outcome)
				got.Pods, got.Left = min(got.Pods, maxPods), strings.ReplaceAll(got.Left, spec.Name, "squatter")
				if diff := gocmp.Diff(tt.want, got); diff != "" {
					t.Errorf("error %v (-want +got):\n%s", err, diff)
				}
				if tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
					t.Errorf("error %v, want %q", err, tt.says)
				}
			})
		})
	}
}

// TestWhatTookItsPlaceStays has a build take the name of a squatter between the look at
// that and its removal: the build is followed.
func TestWhatTookItsPlaceStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		squatter := w.scout()
		squatter.Spec.Containers[0].Image = "evil"
		squatter.Annotations = map[string]string{"squatter": "yes"}
		w.at = func(life *podtest.Life, _ int, _ string) bool { return life.Pod().Annotations["squatter"] == "" }
		if err := w.cluster.Add(squatter); err != nil {
			t.Fatal(err)
		}
		b, built := w.runner("b", nil, nil), make(chan string, 1)
		a := w.runner("a", func(call podtest.Call) podtest.Fault {
			if call.Op == "delete pods" && call.Count == 1 {
				w.cluster.Delete("pods", call.Name)
				go func() {
					outcome, _ := b.image(t.Context())
					built <- outcome
				}()
				time.Sleep(time.Second)
			}
			return podtest.Fault{}
		}, nil)
		outcome, err := a.image(t.Context())
		if diff := gocmp.Diff(ending{"followed built", 2, 1, ""}, w.ending(outcome, <-built)); diff != "" {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
	})
}

// scout finds out what pod the image would be built in.
func (w *world) scout() *corev1.Pod {
	w.t.Helper()
	var spec *corev1.Pod
	w.cluster.Admit = func(pod *corev1.Pod) error {
		spec = pod.DeepCopy()
		return podtest.QuotaFull(pod.Name, 0)
	}
	if outcome, err := w.runner("scout", nil, nil).image(w.t.Context()); spec == nil {
		w.t.Fatalf("%s, %v", outcome, err)
	}
	w.cluster.Admit, spec.UID = nil, ""
	return spec
}

// TestQuota has no room for the build pod: for a while, for ever, and never.
func TestQuota(t *testing.T) {
	for name, tt := range map[string]struct {
		full  time.Duration // how long
		limit int
		parts []part
		want  ending
		says  string
	}{
		"for a while":      {20 * time.Second, 2, []part{{}}, ending{"built", 1, 1, ""}, ""},
		"for all, a while": {20 * time.Second, 2, []part{{}, {}}, ending{"built followed", 1, 1, ""}, ""},
		"for ever":         {time.Hour, 2, []part{{}}, ending{"unschedulable", 0, 0, ""}, "was not admitted within 2m0s"},
		"never any":        {time.Hour, 0, []part{{}}, ending{"admission_refused", 0, 0, ""}, ""},
		"cancelled":        {time.Hour, 2, []part{{cancel: 10 * time.Second}}, ending{"cancelled", 0, 0, ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				room := time.Now().Add(tt.full)
				w.cluster.Admit = func(pod *corev1.Pod) error {
					if time.Now().Before(room) {
						return podtest.QuotaFull(pod.Name, tt.limit)
					}
					return nil
				}
				outcomes := w.race(tt.parts...)
				sortAlike(tt.parts, outcomes)
				if diff := gocmp.Diff(tt.want, w.ending(outcomes...)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestAdmission changes the pods that runners ask for: what it does to all alike is
// followed, what it does to one is removed.
func TestAdmission(t *testing.T) {
	sidecar := func(pod *corev1.Pod, image string) {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "mesh", Image: image})
	}
	for name, tt := range map[string]struct {
		admit func(n int32, pod *corev1.Pod) error
		want  ending
	}{
		"a sidecar for all": {func(_ int32, pod *corev1.Pod) error { sidecar(pod, "mesh"); return nil }, ending{"built followed", 1, 1, ""}},
		"another one for the second": {func(n int32, pod *corev1.Pod) error {
			sidecar(pod, map[bool]string{true: "mesh", false: "mesh:2"}[n == 1])
			return nil
		}, ending{"built followed", 2, 2, ""}},
		"a webhook that fails": {func(n int32, _ *corev1.Pod) error {
			if n > 1 {
				return errors.New("failed calling webhook")
			}
			return nil
		}, ending{"built admission_refused", 1, 1, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var count atomic.Int32
				w.cluster.Admit = func(pod *corev1.Pod) error { return tt.admit(count.Add(1), pod) }
				outcomes := w.race(part{}, part{start: 4 * time.Second})
				if name == "another one for the second" { // who is first with the next pod is chance
					slices.Sort(outcomes)
				}
				got := w.ending(outcomes...)
				if diff := gocmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestFoundMeanwhile has another runner's build end between the look at the registry and
// the creation of the pod: no context is sent, and the pod goes.
func TestFoundMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cluster.Admit = func(pod *corev1.Pod) error {
			w.push(pod, time.Now().Add(time.Second))
			return nil
		}
		r := w.runner("a", nil, nil)
		outcome, err := r.image(t.Context())
		if err != nil || !strings.Contains(r.log.String(), "built by another runner") {
			t.Errorf("error %v, log %q", err, r.log.String())
		}
		if diff := gocmp.Diff(ending{"followed", 1, 0, ""}, w.ending(outcome)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := r.client.Calls("attach pods"); n != 0 {
			t.Errorf("attached %d times", n)
		}
	})
}

// TestRandomTag builds each time, and finds nothing.
func TestRandomTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.settings.Tag = config.TagRandom
		r := w.runner("a", nil, nil)
		for range 2 {
			if outcome, err := r.image(t.Context()); outcome != "built" {
				t.Errorf("%s, %v", outcome, err)
			}
		}
	})
}

// TestKept has a registry keep the image that has the tag: it is what runs, by the
// digest that the registry says.
func TestKept(t *testing.T) {
	for name, shown := range map[string]bool{"shown": true, "not shown": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.settings.ReuseMaxAge = 0 // what is there is never used again
				w.at = func(life *podtest.Life, _ int, moment string) bool {
					if moment != running {
						return true
					}
					if shown {
						w.push(life.Pod(), time.Now().Add(-time.Hour))
					}
					life.Print(gate, "kept")
					<-life.Deleted()
					return false
				}
				r := w.runner("a", nil, nil)
				outcome, err := r.image(t.Context())
				want, says := "built", "the registry keeps the image that has the tag"
				if !shown {
					want = "registry_denied_push"
				}
				said := r.log.String()
				if err != nil {
					said += err.Error()
				}
				if outcome != want || !strings.Contains(said, says) {
					t.Errorf("%s, %v, log %q", outcome, err, said)
				}
			})
		})
	}
}
