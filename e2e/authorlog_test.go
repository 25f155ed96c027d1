//go:build e2e

package e2e_test

import (
	"regexp"
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
)

// stepsDockerfile has two stages, a RUN that prints, and one that fails if the
// build argument says so.
const stepsDockerfile = `FROM busybox AS first
ENV SAID=hello
RUN echo "$SAID from" \
      "a RUN" && exit 0
FROM first
COPY Dockerfile /copy
ENTRYPOINT ["/bin/true"]
`

// TestBuildLog looks at a build as its author does: as steps, as Kaniko's own
// log for debugging, and where it fails.
func TestBuildLog(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "buildlog", nil)
	t.Run("cases", func(t *testing.T) {
		t.Run("steps", func(t *testing.T) {
			t.Parallel()
			result := f.PlayDockerfile(t, runner.Step{ID: "steps", Dockerfile: "_actions/acme/steps/v1/Dockerfile"}, stepsDockerfile)
			outcome.Success(t, result)
			outcome.Lines(t, result,
				`::group::Build acme/steps/v1/Dockerfile`,
				`#1 load metadata for busybox`, `#1 DONE \d+\.\ds`,
				`#2 \[first 1/2\] FROM busybox`, `#2 DONE \d+\.\ds`,
				`#3 ENV SAID=hello`,
				`#4 \[first 2/2\] RUN echo "\$SAID from" "a RUN" && exit 0`, `#4 \d+\.\d\d hello from a RUN`, `#4 DONE \d+\.\ds`,
				`#5 \[stage-1 1/2\] FROM first`, `#5 DONE \d+\.\ds`,
				`#6 \[stage-1 2/2\] COPY Dockerfile /copy`, `#6 DONE \d+\.\ds`,
				`#7 ENTRYPOINT \["/bin/true"\]`,
				`#8 pushing `+regexp.QuoteMeta(f.Registry)+`/\S+`, `#8 DONE \d+\.\ds`,
				`kiln: built \S+@sha256:[0-9a-f]{64}`,
				`::endgroup::`,
				`kiln: context \d.* total \d+\.\d+s`,
			)
			if strings.Contains(result.Log, "snapshot") {
				t.Errorf("the log has the executor's own words:\n%s", result.Log)
			}
		})
		t.Run("debug", func(t *testing.T) {
			t.Parallel()
			result := f.PlayDockerfile(t, runner.Step{
				ID: "debug", Dockerfile: "_actions/acme/debug/v1/Dockerfile", HookEnv: map[string]string{"RUNNER_DEBUG": "1"},
			}, stepsDockerfile+"LABEL of=debug\n") // else it would be reused
			outcome.Success(t, result)
			outcome.Log(t, result, `{"level":"info","msg":"Taking snapshot of full filesystem...","time":"`, "\nhello from a RUN\n", "Pushing image to "+f.Registry)
			if strings.Contains(result.Log, "#1 ") {
				t.Errorf("the log has steps besides:\n%s", result.Log)
			}
		})
		t.Run("failure in the author's repository", func(t *testing.T) {
			t.Parallel()
			result := f.PlayDockerfile(t, runner.Step{ID: "local", Dockerfile: "app/app/./.github/actions/bad/Dockerfile"}, strings.Replace(stepsDockerfile, "exit 0", "exit 7", 1))
			outcome.Error(t, result)
			outcome.Lines(t, result, `#4 ERROR: exit status 7`, `::endgroup::`,
				`::error file=\.github/actions/bad/Dockerfile,line=3::\.github/actions/bad/Dockerfile:3: RUN .* failed with exit code 7 \[run_failed\]`)
		})
		t.Run("failure in somebody else's", func(t *testing.T) {
			t.Parallel()
			result := f.PlayDockerfile(t, runner.Step{ID: "foreign", Dockerfile: "_actions/acme/bad/v1/Dockerfile"}, "FROM busybox\nCOPY gone /\n")
			outcome.Error(t, result)
			outcome.Lines(t, result, `::error::acme/bad/v1/Dockerfile:2: gone is not in the build context.*`)
		})
	})
	f.WantNothingLeft(t)
}

// TestWaitEnds takes a quota away that the pod of an action or of a build waits
// for: the log says what it waited for, and the step runs.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	t.Run("action", func(t *testing.T) {
		t.Parallel()
		f := suite.New(t, "quota", nil)
		result := waitsForQuota(t, f, sample.Ready("quota", "echo ran"), nil)
		outcome.Success(t, result)
		outcome.Log(t, result, "kiln: waiting: the cluster refuses the pod: ", "exceeded quota: one-pod", "\nran\n")
	})
	t.Run("build", func(t *testing.T) {
		t.Parallel()
		f := suite.New(t, "quotabuild", nil)
		step, files := sample.Build("quota", "FROM busybox\nENTRYPOINT [\"echo\", \"ran\"]\n")
		result := waitsForQuota(t, f, step, files)
		outcome.Success(t, result)
		outcome.Log(t, result, "kiln: waiting: the cluster refuses the pod: exceeded quota: one-pod", "kiln: built ", "\nran\n")
	})
}

// waitsForQuota plays a step under a quota that the runner pod fills, and takes the quota
// away when the step says that it waits for it.
func waitsForQuota(t *testing.T, f *suite.Fixture, step runner.Step, files harness.Files) *harness.Result {
	t.Helper()
	remove := f.Quota(t, "one-pod", "1")
	playing := f.Start(t.Context(), step, files)
	playing.Await(t, "exceeded quota: one-pod")
	remove()
	return playing.Wait(t)
}
