package request

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/config"
	"kiln/internal/kaniko"
	"kiln/internal/preflight"
	"kiln/internal/registry"
	"kiln/internal/spool"
	"kiln/internal/steplog"
)

// says is a line of the executor's own.
func says(message string) string { return `{"level":"info","msg":"` + message + `","time":"t"}` + "\n" }

// failedBuild is a build of three lines whose executor has printed log and ended.
func failedBuild(t *testing.T, end corev1.ContainerStateTerminated, log ...string) *build {
	t.Helper()
	s, _ := stepWith()
	s.logger = zap.NewNop()
	s.handler.operator.Settings = &config.Settings{BuildTimeout: time.Minute, PendingTimeout: time.Hour}
	s.asked = spool.Request{Path: "/w/app/app/ci/Dockerfile", Workspace: "/w/app/app"}
	names, err := registry.NewNames("registry.example.com/ci", "", "")
	if err != nil {
		t.Fatal(err)
	}
	s.handler.operator.Names = names
	file, err := preflight.Parse("ci/Dockerfile", []byte("FROM base:1\nRUN make\nCOPY a b\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := &plan{file: file, stages: file.Stages, push: "registry.example.com/ci/app:k1-0"}
	b := newBuild(s, p, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "kiln-1", UID: "1"}}, creator)
	b.pod = &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
		{Name: kaniko.ContainerKaniko, State: corev1.ContainerState{Terminated: &end}},
	}}}
	for _, line := range log {
		if err := b.output.sink([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestBuildFailure(t *testing.T) {
	stage, run := says("Building stage 'base:1' [idx: '0', base-idx: '-1']"), says("RUN make")
	for name, tt := range map[string]struct {
		end  corev1.ContainerStateTerminated
		log  []string
		want string
	}{
		"a RUN": {
			corev1.ContainerStateTerminated{ExitCode: 2},
			[]string{stage, run, "make: *** no rule\n", "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 2\n"},
			"::error file=ci/Dockerfile,line=2::ci/Dockerfile:2: RUN make failed with exit code 2 [run_failed]",
		},
		"a RUN that ends no line": {
			corev1.ContainerStateTerminated{ExitCode: 2},
			[]string{stage, run, "oopserror building image: error building stage: failed to execute command: waiting for process to exit: exit status 2\n"},
			"::error file=ci/Dockerfile,line=2::ci/Dockerfile:2: RUN make failed with exit code 2 [run_failed]",
		},
		"a missing source": {
			corev1.ContainerStateTerminated{ExitCode: 1},
			[]string{stage, "error building image: error building stage: failed to get files used from context: failed to get fileinfo for /kaniko/buildcontext/context/a: lstat /kaniko/buildcontext/context/a: no such file or directory\n"},
			"::error file=ci/Dockerfile,line=3::ci/Dockerfile:3: a is not in the build context, the directory of the Dockerfile: check the path and .dockerignore [source_missing]",
		},
		"out of memory": {
			corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"},
			[]string{stage, run},
			"::error file=ci/Dockerfile,line=2::ci/Dockerfile:2: the build ran out of memory: an operator has to raise KILN_BUILD_MEMORY [out_of_memory]",
		},
		"a push": {
			corev1.ContainerStateTerminated{ExitCode: 1},
			[]string{"error pushing image: failed to push to destination 127.0.0.1:5001/registry__example__com/ci/app:t: POST http://127.0.0.1:5001/v2/x: DENIED: no\n"},
			"::error::ci/Dockerfile: the registry did not take the image: DENIED: no; an operator has to check that registry.example.com/ci/app takes images without credentials, or to name a Secret with ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME [registry_denied_push]",
		},
		"no words": {
			corev1.ContainerStateTerminated{ExitCode: 9},
			nil,
			"::error::ci/Dockerfile: Kaniko ended with exit code 9 and gave no reason [internal]",
		},
		"no image": {
			corev1.ContainerStateTerminated{},
			nil,
			"::error::Kaniko reports success, but the gate saw no image being pushed [internal]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			steplog.New(&out, "", false).Error(failedBuild(t, tt.end, tt.log...).failure())
			if got := strings.TrimSuffix(out.String(), "\n"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestBuildIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := failedBuild(t, corev1.ContainerStateTerminated{})
		if got := b.late(t.Context()).Error(); got != "the build pod did not start within 1h0m0s (KILN_PENDING_TIMEOUT): the cluster gives no reason" {
			t.Error(got)
		}
		b.working, b.began = true, time.Now()
		time.Sleep(time.Second)
		if got := b.late(t.Context()).Error(); got != "the build took longer than 1m0s (KILN_BUILD_TIMEOUT); it was sending the build context, 1s" {
			t.Error(got)
		}
		if err := b.output.sink([]byte(says("RUN make"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := b.late(t.Context()).Error(); got != "the build took longer than 1m0s (KILN_BUILD_TIMEOUT); it was building: RUN make, 1s" {
			t.Error(got)
		}
	})
}
