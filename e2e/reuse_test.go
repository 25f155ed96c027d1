//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// buildPods returns the UIDs of the build pods that were seen, oldest first.
// One name can belong to several pods, one after the other.
func (f *fixture) buildPods() []types.UID {
	var uids []types.UID
	known := map[types.UID]bool{}
	for _, s := range f.seen.Sightings() {
		if harness.HasContainer(s.Pod, "kaniko") && !known[s.Pod.UID] {
			known[s.Pod.UID] = true
			uids = append(uids, s.Pod.UID)
		}
	}
	return uids
}

// greeter is an action that prints what was said when its image was built.
func greeter(words string) harness.Files {
	return harness.Files{
		greeterDir + "/Dockerfile": {Data: []byte("FROM busybox\nCOPY words /words\nENTRYPOINT [\"cat\", \"/words\"]\n")},
		greeterDir + "/words":      {Data: []byte(words + "\n")},
	}
}

const greeterDir = "_actions/acme/greeter/v1"

// greeterStep is a step of the greeter with debug logging, which shows the key.
func greeterStep() runner.Step {
	return runner.Step{
		Repository: "acme/app", Dockerfile: greeterDir + "/Dockerfile",
		HookEnv: map[string]string{"RUNNER_DEBUG": "1"},
	}
}

// buildTag returns the tag that follows from the build key in a step's log.
func buildTag(t *testing.T, log string) string {
	t.Helper()
	for line := range strings.Lines(log) {
		if key, found := strings.CutPrefix(line, "kiln: build key "); found && len(key) > 40 {
			return "k1-" + key[:40]
		}
	}
	t.Fatalf("the log shows no build key:\n%s", tail(log))
	return ""
}

// TestReuse plays one action again and again: what was built is not built twice,
// and what has changed is.
func TestReuse(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "reuse", nil)
	first := f.greet(t, "one")
	wantLog(t, first, "kiln: not built yet\n", "\none\n")
	again := f.greet(t, "one")
	wantLog(t, again, "kiln: reused (built ", "\none\n")
	if n := len(f.buildPods()); n != 1 {
		t.Errorf("%d build pods for one image, want 1", n)
	}
	other := f.greet(t, "two")
	wantLog(t, other, "kiln: not built yet\n", "\ntwo\n")

	t.Run("random tags", func(t *testing.T) {
		g := f.another(t, "random", func(o *harness.PodOptions) { o.DaemonEnv = map[string]string{"KILN_TAG": "random"} })
		wantLog(t, g.greet(t, "one"), "KILN_TAG=random", "\none\n")
	})
	t.Run("age", func(t *testing.T) {
		g := f.another(t, "old", func(o *harness.PodOptions) { o.DaemonEnv = map[string]string{"KILN_REUSE_MAX_AGE": "1s"} })
		wantLog(t, g.greet(t, "one"), "kiln: older than 1s\n", "\none\n")
	})
	t.Run("never", func(t *testing.T) {
		g := f.another(t, "never", func(o *harness.PodOptions) { o.DaemonEnv = map[string]string{"KILN_REUSE_MAX_AGE": "0"} })
		wantLog(t, g.greet(t, "one"), "kiln: reuse is off\n", "\none\n")
	})
	if n := len(f.buildPods()); n != 5 {
		t.Errorf("%d build pods were seen, want 5", n)
	}
	f.wantNothingLeft(t)
}

// greet plays the greeter and returns the step, which succeeded.
func (f *fixture) greet(t *testing.T, words string) *harness.Result {
	t.Helper()
	result, err := f.Step(t.Context(), greeterStep(), greeter(words), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantSuccess(t, []*harness.Result{result})
	return result
}

// TestStagesBuildOnce plays pre, main and post of one action.
func TestStagesBuildOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "once", nil)
	results := f.use(t, f.example("timed-work"), harness.Use{Uses: "acme/timed-work@v1"}, nil)
	checkStages(t, f, results)
	if n := len(f.buildPods()); n != 1 {
		t.Errorf("%d build pods for three stages, want 1", n)
	}
	for _, r := range results[1:] {
		wantLog(t, r, "kiln: reused (built ")
	}
}

// TestReusedImageIsMissing takes a layer of a built image out of the registry:
// the look-up finds the image, and the node does not.
func TestReusedImageIsMissing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "missing", nil)
	wantLog(t, f.greet(t, "one"), "kiln: not built yet\n")
	image := f.Registry + "/" + f.Namespace + "/app:" + buildTag(t, f.greet(t, "one").Log)
	if err := f.BreakImage(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	result := f.greet(t, "one")
	wantLog(t, result, "kiln: reused (built ", "do not find", "built once more", "\none\n")
	wantLog(t, f.greet(t, "one"), "kiln: reused (built ", "\none\n")
	f.wantNothingLeft(t)
}

// TestHostileStaging rewrites the staged context all the time: whatever a step
// then runs, one build key never stands for two contents.
func TestHostileStaging(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "staging", nil)
	// Both keys and both contents, undisturbed.
	content := map[string]string{}
	for _, words := range []string{"aaa", "bbb"} {
		content[buildTag(t, f.greet(t, words).Log)] = words
	}
	if len(content) != 2 {
		t.Fatalf("two contents have the keys %v", content)
	}
	stop, err := f.scribble(t)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for i := range 12 {
		words := []string{"aaa", "bbb"}[i%2]
		result, err := f.Step(t.Context(), greeterStep(), greeter(words), nil)
		if err != nil {
			t.Fatal(err)
		}
		if result.ExitCode != 0 {
			wantError(t, result, "kiln")
			continue
		}
		ran++
		tag := buildTag(t, result.Log)
		said := strings.TrimSpace(lastLineOf(result.Log, "aaa", "bbb"))
		if want, known := content[tag]; known && said != want {
			t.Errorf("the key %s stands for %q and gave %q:\n%s", tag, want, said, tail(result.Log))
		}
		content[tag] = said
	}
	stop()
	t.Logf("%d of 12 disturbed steps ran, %d keys", ran, len(content))
	if ran == 0 {
		t.Error("no disturbed step ran: nothing was shown")
	}
}

// scribble starts a program in the runner container that goes on replacing the
// bytes of every staged context by those of the other, and back.
func (f *fixture) scribble(t *testing.T) (stop func(), err error) {
	t.Helper()
	const script = `cd /tmp && rm -f stop-scribbling
(while [ ! -e stop-scribbling ]; do
  for c in /var/run/kiln/tmp/*/context.tar* /var/run/kiln/requests/*/context.tar*; do
    [ -f "$c" ] || continue
    sed 's/aaa/bbb/' "$c" > turned && dd if=turned of="$c" conv=notrunc status=none
    sed 's/bbb/aaa/' "$c" > turned && dd if=turned of="$c" conv=notrunc status=none
  done
done) >/dev/null 2>&1 &`
	if _, err := f.Run(t.Context(), "sh", "-c", script); err != nil {
		return nil, fmt.Errorf("start to scribble: %w", err)
	}
	return func() {
		if _, err := f.Run(t.Context(), "touch", "/tmp/stop-scribbling"); err != nil {
			t.Error(err)
		}
	}, nil
}

// lastLineOf returns the last of the given lines in a log.
func lastLineOf(log string, lines ...string) string {
	last := ""
	for line := range strings.Lines(log) {
		for _, wanted := range lines {
			if strings.TrimSpace(line) == wanted {
				last = wanted
			}
		}
	}
	return last
}
