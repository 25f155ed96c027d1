//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// TestAhead plays the start of a job: the images of its actions are built before their
// steps ask, each in one pod, and make room for what steps need.
func TestAhead(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "ahead", nil)
	first, firstFiles := sample.Shared("ahead-first", sample.Ticking(12)) // the step comes before its end
	second, secondFiles := sample.Shared("ahead-second", sample.Ticking(1))
	started := f.StartJob(t, firstFiles, secondFiles)
	if outcome.Success(t, started); started.Log != "" || started.OutputHeld {
		t.Errorf("the job's start prints %q, output held: %v", started.Log, started.OutputHeld)
	}
	t.Logf("the job's start took %s", started.Duration)

	awaitBuildPods(t, f, 1)
	playing := f.Start(t.Context(), first, firstFiles)
	playing.Await(t, "kiln: following the build that "+f.Pod+" began")
	result := playing.Wait(t)
	outcome.Success(t, result)
	outcome.Log(t, result, "tick 12 of the build", "the action ran\n")

	awaitWishes(t, f, "built", 2)
	again := f.Play(t, second, secondFiles)
	outcome.Success(t, again)
	outcome.Log(t, again, "kiln: reused (built ", "the action ran\n")
	if n := len(f.BuildPods()); n != 2 {
		t.Errorf("%d build pods for two images", n)
	}
	f.WantMetrics(t, `kiln_builds_total{outcome="followed"} 1`, `kiln_builds_total{outcome="reused"} 1`, `kiln_builds_total{outcome="built"} 0`)
	f.WantNothingLeft(t)

	t.Run("makes room", func(t *testing.T) { makesRoom(t, f.Another(t, "room", func(*harness.PodOptions) {})) })
	t.Run("goes with its runner", func(t *testing.T) { goesWithItsRunner(t, f.Another(t, "gone", func(*harness.PodOptions) {})) })
	f.WantNothingLeft(t)
}

// awaitBuildPods waits until that many build pods were seen.
func awaitBuildPods(t *testing.T, f *suite.Fixture, count int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.Seen.Await(ctx, func() bool { return len(f.BuildPods()) >= count }); err != nil {
		t.Fatalf("%d build pods, want %d: %v", len(f.BuildPods()), count, err)
	}
}

// awaitWishes waits until that many wishes have ended so.
func awaitWishes(t *testing.T, f *suite.Fixture, outcome string, count int) {
	t.Helper()
	want := fmt.Sprintf("\nkiln_wishes_total{outcome=%q} %d\n", outcome, count)
	f.Eventually(t, time.Minute, func(ctx context.Context) error {
		page, err := f.Page(ctx, suite.MetricsPort, "metrics")
		if err == nil && !strings.Contains(page, want) {
			err = fmt.Errorf("the metrics have no %s", strings.TrimSpace(want))
		}
		return err
	})
}

// makesRoom fills the quota with a wish: the step's build takes its place.
func makesRoom(t *testing.T, f *suite.Fixture) {
	_, wished := sample.Shared("room-wished", sample.Ticking(100))
	step, files := sample.Shared("room-wanted", sample.Ticking(1))
	before := len(f.BuildPods())
	outcome.Success(t, f.StartJob(t, wished))
	awaitBuildPods(t, f, before+1)
	pods, err := f.Kube.CoreV1().Pods(f.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.Quota(t, "full", fmt.Sprint(len(pods.Items)))
	result := f.Play(t, step, files)
	outcome.Success(t, result)
	outcome.Log(t, result, "tick 1 of the build", "the action ran\n")
	awaitWishes(t, f, "yielded", 1)
}

// goesWithItsRunner deletes a runner pod while a wish of it is built.
func goesWithItsRunner(t *testing.T, f *suite.Fixture) {
	_, wished := sample.Shared("gone-wished", sample.Ticking(100))
	before := len(f.BuildPods())
	outcome.Success(t, f.StartJob(t, wished))
	awaitBuildPods(t, f, before+1)
	if err := f.Kube.CoreV1().Pods(f.Namespace).Delete(t.Context(), f.Pod, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.Eventually(t, time.Minute, func(ctx context.Context) error {
		pods, err := f.Kube.CoreV1().Pods(f.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "kiln.build/role=build"})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d build pods are left", len(pods.Items))
		}
		return err
	})
}
