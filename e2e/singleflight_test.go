//go:build e2e

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// crowd is how many runners start one action at once.
const crowd = 20

// TestSingleFlight starts the same build in many runners of a namespace: one
// pod builds for all, whoever began it and whatever becomes of that one. It runs
// alone: twenty runner pods leave other tests no time to be on time.
func TestSingleFlight(t *testing.T) {
	f := suite.New(t, "flight", nil)
	runners := append([]*suite.Fixture{f}, gather(t, f, crowd-1)...)
	t.Run("twenty at once", func(t *testing.T) { atOnce(t, f, runners) })
	t.Run("phases", func(t *testing.T) {
		t.Run("the creator is cancelled", func(t *testing.T) { t.Parallel(); creatorCancels(t, runners[0:3]) })
		t.Run("the build fails", func(t *testing.T) { t.Parallel(); buildFails(t, runners[3:6]) })
		t.Run("the creator's runner goes early", func(t *testing.T) { t.Parallel(); creatorDies(t, f, runners[6:9], false) })
		t.Run("the creator's runner goes late", func(t *testing.T) { t.Parallel(); creatorDies(t, f, runners[9:12], true) })
		t.Run("a foreign pod has the name", func(t *testing.T) { t.Parallel(); squatted(t, f, runners[12]) })
	})
	f.WantNothingLeft(t)
}

// gather starts n further runners.
func gather(t *testing.T, f *suite.Fixture, n int) []*suite.Fixture {
	t.Helper()
	more := make([]*suite.Fixture, n)
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			r, err := f.StartRunner(t.Context(), f.Namespace, f.Options(fmt.Sprintf("runner-%d", i+2)))
			more[i], errs[i] = f.Beside(r), err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return more
}

// podsSince counts the build pods that were seen after the first ones.
func podsSince(f *suite.Fixture, before int) int { return len(f.BuildPods()) - before }

// atOnce plays one action in all runners at the same time.
func atOnce(t *testing.T, f *suite.Fixture, runners []*suite.Fixture) {
	before := len(f.BuildPods())
	step, files := sample.Shared("crowd", sample.Ticking(20))
	var all []*suite.Playing
	for _, r := range runners {
		all = append(all, r.Start(t.Context(), step, files))
	}
	digests := map[string]int{}
	followed := 0
	for _, p := range all {
		result := p.Wait(t)
		outcome.Success(t, result)
		outcome.Log(t, result, "tick 20 of the build\n", "\nthe action ran\n")
		if strings.Contains(result.Log, "kiln: following the build that ") {
			followed++
		}
		_, digest, _ := strings.Cut(result.Log, "@sha256:")
		digests[digest[:64]]++
	}
	if len(digests) != 1 {
		t.Errorf("the runners ran the digests %v, want one", digests)
	}
	if n := podsSince(f, before); n != 1 || followed != len(runners)-1 {
		t.Errorf("%d build pods and %d followers, want 1 and %d", n, followed, len(runners)-1)
	}
	if n := sent(t, f, runners); n != 1 {
		t.Errorf("the context was sent %d times, want once", n)
	}
}

// sent counts how often the daemons of the runners say that they sent a context.
func sent(t *testing.T, f *suite.Fixture, runners []*suite.Fixture) int {
	t.Helper()
	count := 0
	for _, r := range runners {
		log, err := f.Kube.CoreV1().Pods(f.Namespace).GetLogs(r.Pod, &corev1.PodLogOptions{Container: harness.DaemonContainer}).DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count += strings.Count(string(log), `"msg":"context sent"`)
	}
	return count
}

// sharedBuild is [sample.Shared] with the marker as its name, and a build pod that the
// marker finds.
func sharedBuild(marker, run string) (runner.Step, harness.Files) {
	step, files := sample.Shared(marker, run)
	step.Repository = "acme/" + marker
	return step, files
}

// awaitOwners waits until the build pod with the marker belongs to that many runners. It
// outlives any of them from then on, where it has others.
func awaitOwners(t *testing.T, creator *suite.Playing, f *suite.Fixture, marker string, n int) {
	t.Helper()
	err := f.Seen.Await(creator.While(t.Context()), func() bool {
		last, found := f.Seen.Last("kaniko", marker)
		return found && len(last.Pod.OwnerReferences) >= n
	})
	if err != nil {
		t.Fatalf("wait until the build pod of %s belongs to %d runners: %v", marker, n, err)
	}
}

// creatorCancels cancels the step that began a build which others follow.
func creatorCancels(t *testing.T, runners []*suite.Fixture) {
	const marker, shared = "cancelled", suite.WorkFolder + "/shared"
	step, files := sharedBuild(marker, sample.Ticking(25))
	first := step
	first.Interrupt = &runner.Interrupt{Path: shared, Signals: runner.Cancel("").Signals}
	creator := runners[0].Start(t.Context(), first, files)
	creator.Await(t, "tick 1 of the build")
	var followers []*suite.Playing
	for _, r := range runners[1:] {
		followers = append(followers, r.Start(t.Context(), step, files))
	}
	awaitOwners(t, creator, runners[0], marker, len(runners))
	if _, err := runners[0].Run(t.Context(), "sh", "-c", "echo now >"+shared); err != nil {
		t.Fatal(err)
	}
	if result := creator.Wait(t); result.ExitCode == 0 {
		t.Errorf("the cancelled step ended well:\n%s", outcome.Tail(result.Log))
	}
	for _, p := range followers {
		result := p.Wait(t)
		outcome.Success(t, result)
		outcome.Log(t, result, "kiln: following the build that "+runners[0].Pod+" began", "tick 1 of the build\n", "tick 25 of the build\n", "\nthe action ran\n")
		if strings.Contains(result.Log, "looking again") {
			t.Errorf("the build did not go on in its pod:\n%s", outcome.Tail(result.Log))
		}
	}
}

// buildFails lets a build fail that others follow. They share the failure, and
// who comes later does not.
func buildFails(t *testing.T, runners []*suite.Fixture) {
	step, files := sample.Shared("failing", sample.Ticking(25)+"; exit 7")
	creator := runners[0].Start(t.Context(), step, files)
	creator.Await(t, "tick 1 of the build")
	all := []*suite.Playing{creator}
	for _, r := range runners[1:] {
		all = append(all, r.Start(t.Context(), step, files))
	}
	for i, p := range all {
		result := p.Wait(t)
		outcome.Error(t, result, "failed with exit code 7", "acme/failing/v1/Dockerfile:2")
		if followed := strings.Contains(result.Log, "kiln: following"); followed != (i > 0) {
			t.Errorf("step %d followed: %v:\n%s", i, followed, outcome.Tail(result.Log))
		}
	}
	step.Interrupt = runner.Cancel("tick 1 of the build")
	result := runners[1].Start(t.Context(), step, files).Wait(t)
	outcome.Error(t, result, "[cancelled]")
	outcome.Log(t, result, "tick 1 of the build")
	if strings.Contains(result.Log, "kiln: following") {
		t.Errorf("a failed build was followed after its end:\n%s", outcome.Tail(result.Log))
	}
}

// creatorDies removes the creator's runner pod and all that ARC and the stock
// hook would remove with it: as soon as its build pod is followed, or late, when that
// belongs to the followers too.
func creatorDies(t *testing.T, f *suite.Fixture, runners []*suite.Fixture, late bool) {
	const ticks = 25
	marker := "orphan-early"
	if late {
		marker = "orphan-late"
	}
	step, files := sharedBuild(marker, sample.Ticking(ticks))
	dying := runners[0].Start(t.Context(), step, files)
	awaitOwners(t, dying, f, marker, 1)
	followers := []*suite.Playing{runners[1].Start(t.Context(), step, files), runners[2].Start(t.Context(), step, files)}
	followers[0].Await(t, "kiln: following the build that "+runners[0].Pod)
	if late {
		awaitOwners(t, dying, f, marker, len(runners))
	}
	removeRunner(t, f, runners[0].Pod)
	if _, err := dying.End(); err == nil {
		t.Error("the step of the runner that is gone was played to its end")
	}
	for _, p := range followers {
		result := p.Wait(t)
		outcome.Success(t, result)
		outcome.Log(t, result, fmt.Sprintf("tick %d of the build\n", ticks), "\nthe action ran\n")
		if again := strings.Contains(result.Log, "looking again"); late && again {
			t.Errorf("the build did not go on in its pod:\n%s", outcome.Tail(result.Log))
		}
	}
}

// removeRunner deletes a runner pod, and by its label what belongs to it.
func removeRunner(t *testing.T, f *suite.Fixture, pod string) {
	t.Helper()
	now := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
	pods := f.Kube.CoreV1().Pods(f.Namespace)
	if err := pods.Delete(t.Context(), pod, now); err != nil {
		t.Error(err)
	}
	if err := pods.DeleteCollection(t.Context(), now, metav1.ListOptions{LabelSelector: "runner-pod=" + pod}); err != nil {
		t.Error(err)
	}
}

// squatted puts a pod of somebody else where a build would be looked for.
func squatted(t *testing.T, f *suite.Fixture, r *suite.Fixture) {
	step, files := sample.Shared("squatted", "echo built for real")
	step.HookEnv = map[string]string{"RUNNER_DEBUG": "1"}
	first := r.Start(t.Context(), step, files).Wait(t)
	outcome.Success(t, first)
	name := buildPodName(t, first.Log, f.Namespace)
	squatter := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kiln.build/role": "build"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "kaniko", Image: f.Busybox(), Command: []string{"sh", "-c", `echo '{"level":"info","msg":"mine","time":"t"}'; sleep 600`}},
			{Name: "gate", Image: f.Busybox(), Command: []string{"sh", "-c", "echo listening; echo pushed sha256:" + strings.Repeat("a", 64) + "; sleep 600"}},
		}},
	}
	made, err := f.Kube.CoreV1().Pods(f.Namespace).Create(t.Context(), squatter, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	never := f.Another(t, "never", func(o *harness.PodOptions) { o.DaemonEnv = map[string]string{"KILN_REUSE_MAX_AGE": "0"} })
	began := time.Now()
	result := never.Start(t.Context(), step, files).Wait(t)
	outcome.Success(t, result)
	outcome.Log(t, result, "kiln: reuse is off\n", "built for real\n", "\nthe action ran\n")
	if strings.Contains(result.Log, "kiln: following") {
		t.Errorf("a foreign pod was followed:\n%s", outcome.Tail(result.Log))
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the foreign pod held the build up for %v", took)
	}
	if !slices.Contains(f.BuildPods(), made.UID) {
		t.Error("the foreign pod was never seen: nothing was shown")
	}
}

// buildPodName returns the name of the build pod that a debug log shows.
func buildPodName(t *testing.T, log, namespace string) string {
	t.Helper()
	_, rest, found := strings.Cut(log, "kiln: build pod "+namespace+"/")
	name, _, _ := strings.Cut(rest, ",")
	if !found || name == "" {
		t.Fatalf("the log names no build pod:\n%s", outcome.Tail(log))
	}
	return name
}
