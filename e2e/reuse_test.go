//go:build e2e

package e2e_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// buildTag returns the tag that follows from the build key in a step's log.
func buildTag(t *testing.T, log string) string {
	t.Helper()
	for line := range strings.Lines(log) {
		if key, found := strings.CutPrefix(line, "kiln: build key "); found && len(key) > 40 {
			return "k1-" + key[:40]
		}
	}
	t.Fatalf("the log shows no build key:\n%s", outcome.Tail(log))
	return ""
}

// TestReuse plays one action again and again: what was built is not built twice,
// and what has changed is.
func TestReuse(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "reuse", nil)
	first := greet(t, f, "one")
	outcome.Log(t, first, "kiln: not built yet\n", "\none\n")
	again := greet(t, f, "one")
	outcome.Log(t, again, "kiln: reused (built ", "\none\n")
	if n := len(f.BuildPods()); n != 1 {
		t.Errorf("%d build pods for one image, want 1", n)
	}
	other := greet(t, f, "two")
	outcome.Log(t, other, "kiln: not built yet\n", "\ntwo\n")

	f.WantMetrics(t, `kiln_builds_total{outcome="built"} 2`, `kiln_builds_total{outcome="reused"} 1`,
		`kiln_requests_total{kind="dockerfile",outcome="succeeded"} 3`, `kiln_phase_duration_seconds_count{phase="lookup"} 3`)

	wantTimes(t, f, "queue", "context", "preflight", "lookup", "schedule", "build", "run", "total")

	for _, tt := range []struct{ name, setting, value, says string }{
		{"random tags", "KILN_TAG", "random", "KILN_TAG=random"},
		{"age", "KILN_REUSE_MAX_AGE", "1s", "kiln: older than 1s\n"},
		{"never", "KILN_REUSE_MAX_AGE", "0", "kiln: reuse is off\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(f.BuildPods())
			g := f.Another(t, strings.ReplaceAll(tt.name, " ", "-"), func(o *harness.PodOptions) { o.DaemonEnv = map[string]string{tt.setting: tt.value} })
			outcome.Log(t, greet(t, g, "one"), tt.says, "\none\n")
			if n := len(f.BuildPods()) - before; n != 1 {
				t.Errorf("%d build pods were seen, want 1", n)
			}
		})
	}
	f.WantNothingLeft(t)
}

// wantTimes fails the test unless the daemon's line about the first step has the
// times of these phases. The push is told by two logs of a build pod, and may be
// over before the one that begins it is read.
func wantTimes(t *testing.T, f *suite.Fixture, phases ...string) {
	t.Helper()
	log, err := f.DaemonLog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"msg":"step ended"`) {
			continue
		}
		for _, phase := range phases {
			if !strings.Contains(line, `"`+phase+`_seconds":`) {
				t.Errorf("the line has no %s: %s", phase, line)
			}
		}
		return
	}
	t.Error("the daemon's log has no line of a step")
}

// greet plays the greeter and returns the step, which succeeded.
func greet(t *testing.T, f *suite.Fixture, words string) *harness.Result {
	t.Helper()
	step, files := sample.Greeter(words)
	result := f.Play(t, step, files)
	outcome.Success(t, result)
	return result
}

// TestStagesBuildOnce plays pre, main and post of one action.
func TestStagesBuildOnce(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "once", nil)
	results := f.Use(t, f.Example("timed-work"), harness.Use{Uses: "acme/timed-work@v1"}, nil)
	checkStages(t, f, results)
	if n := len(f.BuildPods()); n != 1 {
		t.Errorf("%d build pods for three stages, want 1", n)
	}
	for _, r := range results[1:] {
		outcome.Log(t, r, "kiln: reused (built ")
	}
}

// TestReusedImageIsMissing takes a layer of a built image out of the registry:
// the look-up finds the image, and the node does not.
func TestReusedImageIsMissing(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "missing", nil)
	outcome.Log(t, greet(t, f, "one"), "kiln: not built yet\n")
	image := f.Registry + "/" + f.Namespace + "/app:" + buildTag(t, greet(t, f, "one").Log)
	if err := f.BreakImage(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	result := greet(t, f, "one")
	outcome.Log(t, result, "kiln: reused (built ", "do not find", "built once more", "\none\n")
	outcome.Log(t, greet(t, f, "one"), "kiln: reused (built ", "\none\n")
	f.WantNothingLeft(t)
}

// scribbled is an action with enough content to be caught in the middle; it
// prints the hash of all of it.
func scribbled(words string) harness.Files {
	return harness.Files{
		scribbledDir + "/Dockerfile": {Data: []byte("FROM busybox\nCOPY words /words\nENTRYPOINT [\"sha256sum\", \"/words\"]\n")},
		scribbledDir + "/words":      {Data: []byte(strings.Repeat(words+"\n", 1<<20))},
	}
}

const scribbledDir = "_actions/acme/scribbled/v1"

// hashLine is what a scribbled action prints.
var hashLine = regexp.MustCompile(`(?m)^([0-9a-f]{64})  /words$`)

// TestHostileStaging rewrites the staged context all the time: whatever a step
// then runs, one build key never stands for two contents.
func TestHostileStaging(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "staging", nil)
	content := map[string]string{} // by key
	asked := map[string]string{}   // by words
	play := func(words string) (hash string, ran bool) {
		step, _ := sample.Greeter(words)
		step.Dockerfile = scribbledDir + "/Dockerfile"
		result := f.Play(t, step, scribbled(words))
		if result.ExitCode != 0 {
			outcome.Error(t, result, "kiln: read the build context")
			return "", false
		}
		found := hashLine.FindStringSubmatch(result.Log)
		if found == nil {
			t.Fatalf("the action said nothing:\n%s", outcome.Tail(result.Log))
		}
		tag := buildTag(t, result.Log)
		if known := content[tag]; known != "" && known != found[1] {
			t.Errorf("the key %s stands for %s and for %s", tag, known, found[1])
		}
		content[tag] = found[1]
		return found[1], true
	}
	for _, words := range []string{"aaa", "bbb"} { // undisturbed
		asked[words], _ = play(words)
	}
	if len(content) != 2 {
		t.Fatalf("two contents have the keys %v", content)
	}
	stop, err := scribble(t, f)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	disturbed, rounds := 0, 3
	if isLong() {
		rounds = 8
	}
	for i := range rounds {
		words := []string{"aaa", "bbb"}[i%2]
		if hash, ran := play(words); !ran || hash != asked[words] {
			disturbed++
		}
	}
	t.Logf("%d of %d steps were disturbed, %d keys", disturbed, rounds, len(content))
	if disturbed == 0 {
		t.Error("no step was disturbed: nothing was shown")
	}
}

// scribbler goes on writing into every staged context that it finds, behind the
// headers of the archive: one time the words of one action, one time the other's.
const scribbler = `
my ($stop, @blocks) = ("/tmp/stop-scribbling", "aaa\n" x 16384, "bbb\n" x 16384);
unlink $stop;
exit if fork;
open STDIN, "</dev/null"; open STDOUT, ">/dev/null"; open STDERR, ">/dev/null";
until (-e $stop) {
  for my $file (glob "/var/run/kiln/{tmp,requests}/*/context.tar") {
    open my $staged, "+<", $file or next;
    next if -s $staged < 1 << 20;
    seek $staged, 4096 + 65536 * int(rand 15), 0;
    print $staged $blocks[rand 2];
  }
  select undef, undef, undef, 0.0005;
}`

// scribble starts the scribbler in the runner container.
func scribble(t *testing.T, f *suite.Fixture) (stop func(), err error) {
	t.Helper()
	if _, err := f.Run(t.Context(), "perl", "-e", scribbler); err != nil {
		return nil, fmt.Errorf("start to scribble: %w", err)
	}
	return func() {
		if _, err := f.Run(t.Context(), "touch", "/tmp/stop-scribbling"); err != nil {
			t.Error(err)
		}
	}, nil
}

// TestTriggers builds on bases with ONBUILD triggers: one that copies from the
// context, one that copies from an image that the Dockerfile does not name,
// which the fork of Kaniko in these tests cannot do, and one that no Kaniko
// builds as Docker does.
func TestTriggers(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "triggers", nil)
	for _, tt := range []struct {
		name, trigger string
		check         func(*testing.T, *harness.Result)
	}{
		{"of the context", "COPY words /from-trigger", func(t *testing.T, r *harness.Result) {
			outcome.Success(t, r)
			outcome.Log(t, r, "\nsaid by the context\n")
		}},
		{"of another image", "COPY --from=debian:bookworm-slim /etc/debian_version /from-trigger", func(t *testing.T, r *harness.Result) {
			outcome.Error(t, r, "acme/triggered/v1/Dockerfile:1: an ONBUILD trigger of ", "copies from debian:bookworm-slim, which this Kaniko does not fetch")
		}},
		{"that is refused", "COPY --parents words /from-trigger/", func(t *testing.T, r *harness.Result) {
			outcome.Error(t, r, "acme/triggered/v1/Dockerfile:1: ONBUILD COPY --parents words /from-trigger/, a trigger of ", "Kaniko ignores --parents")
			outcome.Log(t, r, "\n  1 | FROM ")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base, err := f.PackImage(t.Context(), v1.Config{Env: []string{"PATH=/bin"}, OnBuild: []string{tt.trigger}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			const dir = "_actions/acme/triggered/v1"
			result := f.Play(t, runner.Step{Repository: "acme/app", Dockerfile: dir + "/Dockerfile"}, harness.Files{
				dir + "/Dockerfile": {Data: []byte("FROM " + base + "\nENTRYPOINT [\"cat\", \"/from-trigger\"]\n")},
				dir + "/words":      {Data: []byte("said by the context\n")},
			})
			tt.check(t, result)
		})
	}
}
