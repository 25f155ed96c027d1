package imagebuild_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"kiln/internal/podtest"
)

// afterFault is how a build ends whose requests fail: those with that Op, the first or
// all of them. left says that its pod is still there.
func afterFault(op, fault string, always bool) (want ending, left bool) {
	well := ending{Outcomes: "built", Pods: 1, Contexts: 1}
	refused, done := fault == "forbidden", strings.HasPrefix(fault, "done")
	switch op {
	case "create pods":
		switch {
		case refused:
			return ending{Outcomes: "admission_refused"}, false
		case always && done:
			return ending{Outcomes: "cluster_unreachable", Pods: 3}, false
		case always:
			return ending{Outcomes: "cluster_unreachable"}, false
		case done: // what was made unseen is not trusted, and makes room
			well.Pods = 2
		}
	case "attach pods":
		switch {
		case fault == "done, but timed out": // the connection stays open
			return ending{Outcomes: "deadline", Pods: 1}, false
		case refused: // it stays so
			return ending{Outcomes: "admission_refused", Pods: 1}, false
		case always && done:
			return ending{Outcomes: "context_transport", Pods: 3, Contexts: 3}, false
		case always:
			return ending{Outcomes: "context_transport", Pods: 3}, false
		case done: // a context that may be shortened is not built
			well.Pods, well.Contexts = 2, 2
		default:
			well.Pods = 2
		}
	case "get pods/log":
		switch {
		case refused && always:
			return ending{Outcomes: "admission_refused", Pods: 1}, false
		case always, strings.HasSuffix(fault, "timed out"): // the build does without: the registry has the image
			well.Outcomes = "followed"
		}
	case "list pods", "watch pods":
		switch {
		case refused:
			return ending{Outcomes: "admission_refused", Pods: 1}, false
		case always && op == "list pods":
			return ending{Outcomes: "unschedulable", Pods: 1}, false
		}
	case "get pods", "delete pods": // the build has ended; owner references collect the rest
		return well, refused || always && (op == "get pods" || !done)
	case "get manifests":
		switch {
		case always && refused:
			return ending{Outcomes: "base_image_denied"}, false
		case always:
			return ending{Outcomes: "registry_unreachable"}, false
		}
	}
	return well, false
}

// TestFaults has every request of a build fail in every way, once and for ever: how the
// build ends, how many pods and contexts it took, and what stays.
func TestFaults(t *testing.T) {
	for _, op := range []string{"create pods", "list pods", "watch pods", "get pods/log", "attach pods", "get pods", "delete pods", "get manifests"} {
		for fault, of := range podtest.Kinds() {
			for when, faults := range map[string]podtest.Faults{"once": podtest.Once(op, of), "always": podtest.Always(op, of)} {
				t.Run(fmt.Sprintf("%s/%s/%s", op, fault, when), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						var lookups podtest.Faults
						if op == "get manifests" {
							lookups, faults = faults, nil
						}
						outcome, err := w.runner("a", faults, lookups).image(t.Context())
						want, left := afterFault(op, fault, when == "always")
						got := w.ending(outcome)
						if (got.Left != "") != left {
							t.Errorf("left %q", got.Left)
						}
						got.Left = ""
						if diff := gocmp.Diff(want, got); diff != "" {
							t.Errorf("error %v (-want +got):\n%s", err, diff)
						}
					})
				})
			}
		}
	}
}

// TestFaultsOfAFollower has every request of a follower fail in every way: it harms
// nobody but the follower, and once does not even harm it.
func TestFaultsOfAFollower(t *testing.T) {
	kinds := podtest.Kinds()
	for _, op := range []string{"create pods", "get pods", "list pods", "watch pods", "get pods/log", "patch pods", "delete pods"} {
		for _, fault := range []string{"forbidden", "lost", "done, not answered", "timed out"} {
			of := kinds[fault]
			for when, faults := range map[string]podtest.Faults{"once": podtest.Once(op, of), "always": podtest.Always(op, of)} {
				t.Run(fmt.Sprintf("%s/%s/%s", op, fault, when), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						got := w.ending(w.race(part{}, part{start: time.Second, faults: faults})...)
						creator, follower, _ := strings.Cut(got.Outcomes, " ")
						if creator != "built" || got.Pods != 1 || got.Contexts != 1 {
							t.Errorf("the creator: %+v", got)
						}
						well := follower == "followed" || follower == "reused"
						if when == "once" && fault != "forbidden" && !well {
							t.Errorf("the follower: %+v", got)
						}
						// An owner that cannot be taken out goes with its runner.
						if stays := op == "patch pods" && when == "always" || op == "get pods" || op == "delete pods"; got.Left != "" && !stays {
							t.Errorf("left %s", got.Left)
						}
					})
				})
			}
		}
	}
}
