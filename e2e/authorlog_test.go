//go:build e2e

package e2e_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
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
	f := newFixture(t, "buildlog", nil)
	t.Run("cases", func(t *testing.T) {
		t.Run("steps", func(t *testing.T) {
			t.Parallel()
			result := f.built(t, runner.Step{ID: "steps", Dockerfile: "_actions/acme/steps/v1/Dockerfile"}, stepsDockerfile)
			wantSuccess(t, []*harness.Result{result})
			wantLines(t, result.Log,
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
			result := f.built(t, runner.Step{
				ID: "debug", Dockerfile: "_actions/acme/debug/v1/Dockerfile", HookEnv: map[string]string{"RUNNER_DEBUG": "1"},
			}, stepsDockerfile+"LABEL of=debug\n") // else it would be reused
			wantSuccess(t, []*harness.Result{result})
			wantLog(t, result, `{"level":"info","msg":"Taking snapshot of full filesystem...","time":"`, "\nhello from a RUN\n", "Pushing image to "+f.Registry)
			if strings.Contains(result.Log, "#1 ") {
				t.Errorf("the log has steps besides:\n%s", result.Log)
			}
		})
		t.Run("failure in the author's repository", func(t *testing.T) {
			t.Parallel()
			result := f.built(t, runner.Step{ID: "local", Dockerfile: "app/app/./.github/actions/bad/Dockerfile"}, strings.Replace(stepsDockerfile, "exit 0", "exit 7", 1))
			wantError(t, result)
			wantLines(t, result.Log, `#4 ERROR: exit status 7`, `::endgroup::`,
				`::error file=\.github/actions/bad/Dockerfile,line=3::\.github/actions/bad/Dockerfile:3: RUN .* failed with exit code 7 \[run_failed\]`)
		})
		t.Run("failure in somebody else's", func(t *testing.T) {
			t.Parallel()
			result := f.built(t, runner.Step{ID: "foreign", Dockerfile: "_actions/acme/bad/v1/Dockerfile"}, "FROM busybox\nCOPY gone /\n")
			wantError(t, result)
			wantLines(t, result.Log, `::error::acme/bad/v1/Dockerfile:2: gone is not in the build context.*`)
		})
	})
	f.wantNothingLeft(t)
}

// built plays a step whose Dockerfile has the given text.
func (f *fixture) built(t *testing.T, s runner.Step, dockerfile string) *harness.Result {
	t.Helper()
	s.Repository = "acme/app"
	result, err := f.Step(t.Context(), s, harness.Files{s.Dockerfile: {Data: []byte(dockerfile)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// wantLines fails the test unless lines of the log match the patterns, in that
// order. Others may stand between them.
func wantLines(t *testing.T, log string, patterns ...string) {
	t.Helper()
	rest := log
	for _, pattern := range patterns {
		at := regexp.MustCompile(`(?m)^` + pattern + `$`).FindStringIndex(rest)
		if at == nil {
			t.Errorf("no line matches %q where it should:\n%s", pattern, tail(log))
			return
		}
		rest = rest[at[1]:]
	}
}

// TestWaitEnds takes a quota away that the pod of an action or of a build waits
// for: the log says what it waited for, and the step runs.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	t.Run("action", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, "quota", nil)
		f.quotaEnds(t)
		result := f.step(t, readyStep("quota", "echo ran"))
		wantSuccess(t, []*harness.Result{result})
		wantLog(t, result, "kiln: waiting: the cluster refuses the pod: ", "exceeded quota: one-pod", "\nran\n")
	})
	t.Run("build", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, "quotabuild", nil)
		f.quotaEnds(t)
		result := f.built(t, runner.Step{ID: "quota", Dockerfile: "_actions/acme/quota/v1/Dockerfile"}, "FROM busybox\nENTRYPOINT [\"echo\", \"ran\"]\n")
		wantSuccess(t, []*harness.Result{result})
		wantLog(t, result, "kiln: waiting: the cluster refuses the pod: exceeded quota: one-pod", "kiln: built ", "\nran\n")
	})
}

// quotaEnds makes a quota that the runner pod fills, and takes it away a while
// later.
func (f *fixture) quotaEnds(t *testing.T) {
	t.Helper()
	quotas := f.Kube.CoreV1().ResourceQuotas(f.Namespace)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "one-pod"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}},
	}
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.awaitQuota(t, quota.Name)
	go func() {
		time.Sleep(8 * time.Second)
		_ = quotas.Delete(t.Context(), quota.Name, metav1.DeleteOptions{})
	}()
}

// awaitQuota waits until the quota counts what there is: before, it refuses
// with other words.
func (f *fixture) awaitQuota(t *testing.T, name string) {
	t.Helper()
	for t.Context().Err() == nil {
		quota, err := f.Kube.CoreV1().ResourceQuotas(f.Namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if used, ok := quota.Status.Used[corev1.ResourcePods]; ok && used.Value() >= 1 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
