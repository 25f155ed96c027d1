//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// crowd is how many runners start one action at once.
const crowd = 20

// shared is a step of an action that takes its time to build. The name makes it
// one of its own; all runners that play it want the same image.
func shared(name, run string) (runner.Step, harness.Files) {
	dir := "_actions/acme/" + name + "/v1"
	dockerfile := "FROM busybox\nRUN " + run + "\nENTRYPOINT [\"echo\", \"the action ran\"]\n"
	return runner.Step{Repository: "acme/app", Dockerfile: dir + "/Dockerfile"},
		harness.Files{dir + "/Dockerfile": {Data: []byte(dockerfile)}, dir + "/name": {Data: []byte(name)}}
}

// ticking is a RUN that counts to n seconds.
func ticking(n int) string {
	return fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo tick $i of the build; sleep 1; done", n)
}

// TestSingleFlight starts the same build in many runners of a namespace: one
// pod builds for all, whoever began it and whatever becomes of that one. It runs
// alone: twenty runner pods leave other tests no time to be on time.
func TestSingleFlight(t *testing.T) {
	f := newFixture(t, "flight", nil)
	runners := append([]*fixture{f}, f.crowd(t, crowd-1)...)
	t.Run("twenty at once", func(t *testing.T) { f.atOnce(t, runners) })
	t.Run("phases", func(t *testing.T) {
		t.Run("the creator is cancelled", func(t *testing.T) { t.Parallel(); f.creatorCancels(t, runners[0:3]) })
		t.Run("the build fails", func(t *testing.T) { t.Parallel(); f.buildFails(t, runners[3:6]) })
		t.Run("the creator's runner goes early", func(t *testing.T) { t.Parallel(); f.creatorDies(t, runners[6:9], "") })
		t.Run("the creator's runner goes late", func(t *testing.T) {
			t.Parallel()
			f.creatorDies(t, runners[9:12], "tick 3 of the build")
		})
		t.Run("a foreign pod has the name", func(t *testing.T) { t.Parallel(); f.squatted(t, runners[12]) })
	})
	f.wantNothingLeft(t)
}

// crowd starts n further runners.
func (f *fixture) crowd(t *testing.T, n int) []*fixture {
	t.Helper()
	more := make([]*fixture, n)
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			r, err := f.StartRunner(t.Context(), f.Namespace, f.options(fmt.Sprintf("runner-%d", i+2)))
			more[i], errs[i] = &fixture{stage: f.stage, Runner: r, seen: f.seen, installed: f.installed}, err
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

// playing is a step that is being played.
type playing struct {
	done   chan struct{}
	result *harness.Result
	err    error
}

// start plays a step and does not wait for it. live may be nil.
func (f *fixture) start(ctx context.Context, step runner.Step, files harness.Files, live *awaited) *playing {
	p := &playing{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if live == nil {
			p.result, p.err = f.Step(ctx, step, files, nil)
		} else {
			p.result, p.err = f.Step(ctx, step, files, live)
		}
	}()
	return p
}

// wait returns the result of a step that was started.
func (p *playing) wait(t *testing.T) *harness.Result {
	t.Helper()
	<-p.done
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.result
}

// podsSince counts the build pods that were seen after the first ones.
func (f *fixture) podsSince(before int) int { return len(f.buildPods()) - before }

// atOnce plays one action in all runners at the same time.
func (f *fixture) atOnce(t *testing.T, runners []*fixture) {
	before := len(f.buildPods())
	step, files := shared("crowd", ticking(20))
	var all []*playing
	for _, r := range runners {
		all = append(all, r.start(t.Context(), step, files, nil))
	}
	digests := map[string]int{}
	followed := 0
	for _, p := range all {
		result := p.wait(t)
		wantSuccess(t, []*harness.Result{result})
		wantLog(t, result, "tick 20 of the build\n", "\nthe action ran\n")
		if strings.Contains(result.Log, "kiln: following the build that ") {
			followed++
		}
		_, digest, _ := strings.Cut(result.Log, "@sha256:")
		digests[digest[:64]]++
	}
	if len(digests) != 1 {
		t.Errorf("the runners ran the digests %v, want one", digests)
	}
	if n := f.podsSince(before); n != 1 || followed != len(runners)-1 {
		t.Errorf("%d build pods and %d followers, want 1 and %d", n, followed, len(runners)-1)
	}
	if n := f.sent(t, runners); n != 1 {
		t.Errorf("the context was sent %d times, want once", n)
	}
}

// sent counts how often the daemons of the runners say that they sent a context.
func (f *fixture) sent(t *testing.T, runners []*fixture) int {
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

// creatorCancels cancels the step that began a build which others follow.
func (f *fixture) creatorCancels(t *testing.T, runners []*fixture) {
	step, files := shared("cancelled", ticking(12))
	first := step
	first.Interrupt = runner.Cancel("tick 8 of the build")
	begun := &awaited{text: "tick 1 of the build", seen: make(chan struct{})}
	creator := runners[0].start(t.Context(), first, files, begun)
	<-begun.seen
	var followers []*playing
	for _, r := range runners[1:] {
		followers = append(followers, r.start(t.Context(), step, files, nil))
	}
	if result := creator.wait(t); result.ExitCode == 0 {
		t.Errorf("the cancelled step ended well:\n%s", tail(result.Log))
	}
	for _, p := range followers {
		result := p.wait(t)
		wantSuccess(t, []*harness.Result{result})
		wantLog(t, result, "kiln: following the build that "+runners[0].Pod+" began", "tick 1 of the build\n", "tick 12 of the build\n", "\nthe action ran\n")
		if strings.Contains(result.Log, "looking again") {
			t.Errorf("the build did not go on in its pod:\n%s", tail(result.Log))
		}
	}
}

// buildFails lets a build fail that others follow. They share the failure, and
// who comes later does not.
func (f *fixture) buildFails(t *testing.T, runners []*fixture) {
	step, files := shared("failing", ticking(6)+"; exit 7")
	begun := &awaited{text: "tick 1 of the build", seen: make(chan struct{})}
	creator := runners[0].start(t.Context(), step, files, begun)
	<-begun.seen
	all := []*playing{creator}
	for _, r := range runners[1:] {
		all = append(all, r.start(t.Context(), step, files, nil))
	}
	for i, p := range all {
		result := p.wait(t)
		wantError(t, result, "failed with exit code 7", "acme/failing/v1/Dockerfile:2")
		if followed := strings.Contains(result.Log, "kiln: following"); followed != (i > 0) {
			t.Errorf("step %d followed: %v:\n%s", i, followed, tail(result.Log))
		}
	}
	result := runners[1].start(t.Context(), step, files, nil).wait(t)
	wantError(t, result, "failed with exit code 7")
	if strings.Contains(result.Log, "kiln: following") {
		t.Errorf("a failed build was followed after its end:\n%s", tail(result.Log))
	}
}

// creatorDies removes the creator's runner pod and all that ARC and the stock
// hook would remove with it: as soon as the build pod is there, or once after
// is in the creator's log.
func (f *fixture) creatorDies(t *testing.T, runners []*fixture, after string) {
	name := "orphan"
	if after != "" {
		name = "orphan-late"
	}
	step, files := shared(name, ticking(10))
	live := &awaited{text: "kiln: not built yet", seen: make(chan struct{})}
	if after != "" {
		live.text = "tick 1 of the build"
	}
	dying := runners[0].start(t.Context(), step, files, live)
	<-live.seen
	follows := &awaited{text: "kiln: following the build that " + runners[0].Pod, seen: make(chan struct{})}
	if after != "" {
		follows.text = after
	}
	followers := []*playing{runners[1].start(t.Context(), step, files, follows), runners[2].start(t.Context(), step, files, nil)}
	select {
	case <-follows.seen:
	case <-followers[0].done:
		t.Fatalf("the build was not followed: %v\n%s", followers[0].err, tail(followers[0].result.Log))
	}
	f.removeRunner(t, runners[0].Pod)
	<-dying.done // with an error: its pod is gone
	for _, p := range followers {
		result := p.wait(t)
		wantSuccess(t, []*harness.Result{result})
		wantLog(t, result, "tick 10 of the build\n", "\nthe action ran\n")
		if again := strings.Contains(result.Log, "looking again"); after != "" && again {
			t.Errorf("the build did not go on in its pod:\n%s", tail(result.Log))
		}
	}
}

// removeRunner deletes a runner pod, and by its label what belongs to it.
func (f *fixture) removeRunner(t *testing.T, pod string) {
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
func (f *fixture) squatted(t *testing.T, r *fixture) {
	step, files := shared("squatted", "echo built for real")
	step.HookEnv = map[string]string{"RUNNER_DEBUG": "1"}
	first := r.start(t.Context(), step, files, nil).wait(t)
	wantSuccess(t, []*harness.Result{first})
	name := buildPodName(t, first.Log, f.Namespace)
	squatter := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kiln.build/role": "build"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "kaniko", Image: f.Registry + "/library/busybox:latest", Command: []string{"sh", "-c", `echo '{"level":"info","msg":"mine","time":"t"}'; sleep 600`}},
			{Name: "gate", Image: f.Registry + "/library/busybox:latest", Command: []string{"sh", "-c", "echo listening; echo pushed sha256:" + strings.Repeat("a", 64) + "; sleep 600"}},
		}},
	}
	made, err := f.Kube.CoreV1().Pods(f.Namespace).Create(t.Context(), squatter, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	never := f.another(t, "never", func(o *harness.PodOptions) { o.DaemonEnv = map[string]string{"KILN_REUSE_MAX_AGE": "0"} })
	began := time.Now()
	result := never.start(t.Context(), step, files, nil).wait(t)
	wantSuccess(t, []*harness.Result{result})
	wantLog(t, result, "kiln: reuse is off\n", "built for real\n", "\nthe action ran\n")
	if strings.Contains(result.Log, "kiln: following") {
		t.Errorf("a foreign pod was followed:\n%s", tail(result.Log))
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the foreign pod held the build up for %v", took)
	}
	if !slices.Contains(f.buildPods(), made.UID) {
		t.Error("the foreign pod was never seen: nothing was shown")
	}
}

// buildPodName returns the name of the build pod that a debug log shows.
func buildPodName(t *testing.T, log, namespace string) string {
	t.Helper()
	_, rest, found := strings.Cut(log, "kiln: build pod "+namespace+"/")
	name, _, _ := strings.Cut(rest, ",")
	if !found || name == "" {
		t.Fatalf("the log names no build pod:\n%s", tail(log))
	}
	return name
}
