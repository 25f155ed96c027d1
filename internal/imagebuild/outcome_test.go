package imagebuild_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/podtest"
)

// event is what happens to the first pods of a build at a moment, instead of what
// comes after it.
type event struct {
	at   string
	pods int // how many of them; 0 is all
	do   func(*podtest.Life)
}

// evicted is the end of a pod by its node's want.
func evicted(life *podtest.Life) {
	life.Change(func(pod *corev1.Pod) {
		pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	})
	<-life.Deleted()
}

// fails is a Kaniko that ends with a code after its last words.
func fails(code int32, words ...string) func(*podtest.Life) {
	return func(life *podtest.Life) {
		life.Print(builder, words...)
		life.Exit(builder, code)
		<-life.Deleted()
	}
}

// maxPods is of how many pods a test wants to know that there were so many or more.
const maxPods = 12

const runFails = "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 2"

// TestOutcomes has a build end in every way: which class that is, how often it is tried,
// and that nothing stays.
func TestOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		event event
		want  ending
		says  string // in the author's log or the error
	}{
		"evicted once":         {event{running, 1, evicted}, ending{"built", 2, 2, ""}, "attempt 1 of 3 failed"},
		"evicted twice":        {event{running, 2, evicted}, ending{"built", 3, 3, ""}, "attempt 2 of 3 failed"},
		"evicted for ever":     {event{running, 0, evicted}, ending{"evicted", 3, 3, ""}, "low on resource"},
		"evicted early":        {event{created, 1, evicted}, ending{"built", 2, 1, ""}, "attempt 1 of 3 failed"},
		"removed once":         {event{running, 1, (*podtest.Life).Remove}, ending{"built", 2, 2, ""}, "the build pod went away, looking again"},
		"removed five times":   {event{created, 5, (*podtest.Life).Remove}, ending{"built", 6, 1, ""}, "the build pod went away, looking again"},
		"removed for ever":     {event{listening, 0, (*podtest.Life).Remove}, ending{"internal", maxPods, 0, ""}, "times and its pod"},
		"a RUN fails":          {event{running, 0, fails(2, runFails)}, ending{"run_failed", 1, 1, ""}, "RUN make failed with exit code 2"},
		"out of memory":        {event{running, 0, func(l *podtest.Life) { l.End(builder, podtest.End{Code: 137, Reason: "OOMKilled"}); <-l.Deleted() }}, ending{"out_of_memory", 1, 1, ""}, "KILN_BUILD_MEMORY"},
		"without words":        {event{begun, 0, fails(9)}, ending{"internal", 1, 1, ""}, "ended with exit code 9"},
		"well, without a push": {event{running, 0, fails(0)}, ending{"internal", 1, 1, ""}, "the gate saw no image being pushed"},
		"a file is left out": {event{running, 0, func(l *podtest.Life) {
			l.Print(builder, `{"level":"error","msg":"Couldn't eval /loop with link /loop","time":"t"}`)
			<-l.Deleted()
		}}, ending{"unsupported_instruction", 1, 1, ""}, "/loop"},
		"the gate cuts a layer off": {event{begun, 0, func(l *podtest.Life) {
			l.Print(gate, "unfit base.example.com/base:1 holds a named pipe, /srv/q")
			<-l.Deleted()
		}}, ending{"unsupported_instruction", 1, 1, ""}, "Dockerfile:1: a layer of the image base.example.com/base:1 holds a named pipe"},
		"the gate misses something": {event{begun, 0, func(l *podtest.Life) {
			l.Print(gate, "unfit base.example.com/base:1 lacks its working directory /srv: Docker makes it")
			<-l.Deleted()
		}}, ending{"unsupported_instruction", 1, 1, ""}, "Dockerfile:1: the image base.example.com/base:1 lacks its working directory /srv: Docker makes it; use another base image, or write USER root"},
		"the gate ends": {event{waiting, 0, func(l *podtest.Life) { l.Exit(gate, 1); <-l.Deleted() }}, ending{"internal", 1, 0, ""}, ""},
		"Kaniko's image cannot be pulled": {event{created, 0, func(l *podtest.Life) {
			l.Waits(builder, "ErrImagePull", "manifest unknown")
			<-l.Deleted()
		}}, ending{"kaniko_image_pull", 1, 0, ""}, "manifest unknown"},
		"never starts": {event{created, 0, func(l *podtest.Life) {
			l.Event("FailedScheduling", "0/1 nodes are available")
			<-l.Deleted()
		}}, ending{"unschedulable", 1, 0, ""}, "did not start within 2m0s (KILN_PENDING_TIMEOUT): no node can take the pod"},
		"never ends":           {event{running, 0, func(l *podtest.Life) { <-l.Deleted() }}, ending{"deadline", 1, 1, ""}, "took longer than 3m0s (KILN_BUILD_TIMEOUT); it was building: RUN make"},
		"removed when it ends": {event{pushed, 0, (*podtest.Life).Remove}, ending{"built", 1, 1, ""}, "built"},
		"Kaniko ends late":     {event{pushed, 0, func(l *podtest.Life) { l.Wait(time.Hour) }}, ending{"built", 1, 1, ""}, "built"},
		"the gate speaks late": {event{pushed, 0, func(*podtest.Life) {}}, ending{"built", 1, 1, ""}, "built"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.at = func(life *podtest.Life, pod int, moment string) bool {
					if moment != tt.event.at || tt.event.pods > 0 && pod > tt.event.pods {
						return true
					}
					tt.event.do(life)
					return false
				}
				r := w.runner("a", nil, nil)
				began := time.Now()
				outcome, err := r.image(t.Context())
				said := r.log.String()
				if err != nil {
					said += err.Error()
				}
				got := w.ending(outcome)
				if got.Pods = min(got.Pods, maxPods); maxPods == tt.want.Pods && time.Since(began) < w.settings.BuildTimeout {
					t.Error("given up before the build's time was over")
				}
				if diff := gocmp.Diff(tt.want, got); diff != "" {
					t.Errorf("error %v (-want +got):\n%s", err, diff)
				}
				if !strings.Contains(said, tt.says) {
					t.Errorf("said %q, want %q", said, tt.says)
				}
			})
		})
	}
}

// TestAFailureIsShared: a failed RUN is the failure of all who follow it, and of nobody
// who comes later. A pod that the cluster ends is tried again by all, in one new pod.
func TestAFailureIsShared(t *testing.T) {
	const s = time.Second
	for name, tt := range map[string]struct {
		event event
		want  ending
	}{
		"a RUN fails": {event{running, 1, fails(2, runFails)}, ending{"run_failed run_failed run_failed built", 2, 2, ""}},
		"evicted":     {event{running, 1, evicted}, ending{"built followed followed reused", 2, 2, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.at = func(life *podtest.Life, pod int, moment string) bool {
					if moment != tt.event.at || pod > tt.event.pods {
						return true
					}
					tt.event.do(life)
					return false
				}
				parts := []part{{}, {start: s}, {start: s}, {start: 60 * s}}
				outcomes := w.race(parts...)
				sortAlike([]part{{}, {}, {}, parts[3]}, outcomes) // who builds anew is chance
				if diff := gocmp.Diff(tt.want, w.ending(outcomes...)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestPushedUnheard has a build push its image and end well without a word of the gate's:
// the registry is asked before the step fails.
func TestPushedUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.at = func(life *podtest.Life, _ int, moment string) bool {
			if moment != running {
				return true
			}
			w.push(life.Pod(), time.Now())
			life.Exit(builder, 0)
			<-life.Deleted()
			return false
		}
		outcome, err := w.runner("a", nil, nil).image(t.Context())
		if diff := gocmp.Diff(ending{"followed", 1, 1, ""}, w.ending(outcome)); diff != "" {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
	})
}
