//go:build e2e

package e2e_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
	"kiln/internal/failure"
)

// failureCase is a build that fails, and what its author reads of it.
type failureCase struct {
	name       string
	dockerfile string
	reason     failure.Reason
	line       int // of the Dockerfile; 0 for a failure that is nobody's line
	says       []string
	attempts   int // how many fail before kiln gives up; 0 is 1
}

// TestFailures produces each reason that a Dockerfile can be the cause of, or a
// setting: the step says the reason, the place and what to do, and leaves
// nothing.
func TestFailures(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "failures", nil)
	t.Run("runners", func(t *testing.T) {
		t.Run("default", func(t *testing.T) {
			t.Parallel()
			failEach(t, f, dockerfileFailures(f))
		})
		t.Run("small", func(t *testing.T) {
			t.Parallel()
			g := f.Another(t, "small", func(o *harness.PodOptions) {
				o.DaemonEnv = map[string]string{"KILN_BUILD_MEMORY": "96Mi", "KILN_BUILD_STORAGE": "40Mi"}
			})
			failEach(t, g, smallFailures())
		})
		t.Run("short", func(t *testing.T) {
			t.Parallel()
			g := f.Another(t, "short", func(o *harness.PodOptions) {
				o.DaemonEnv = map[string]string{"KILN_BUILD_TIMEOUT": "25s"} // the RUN is to begin before
			})
			failEach(t, g, []failureCase{{
				name: "deadline", dockerfile: "FROM busybox\nRUN sleep 600\n",
				reason: failure.Deadline, says: []string{"took longer than 25s", "KILN_BUILD_TIMEOUT", "RUN sleep 600"},
			}})
		})
		t.Run("wrong credentials", func(t *testing.T) {
			t.Parallel()
			failWithWrongCredentials(t, f)
		})
		t.Run("registry away", func(t *testing.T) {
			long(t) // each attempt waits for the gate's own
			t.Parallel()
			g := f.Another(t, "away", func(o *harness.PodOptions) {
				const nobody = "127.0.0.1:9" // in the gate's pod
				o.DaemonEnv = map[string]string{
					"ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH": nobody + "/kiln",
					"KILN_INSECURE_REGISTRIES":                              f.Insecure + "," + nobody,
				}
			})
			failEach(t, g, []failureCase{{
				name: "push", dockerfile: "FROM busybox\nENTRYPOINT [\"true\"]\n", attempts: 3,
				reason: failure.RegistryUnreachable, says: []string{"the image cannot be pushed"},
			}})
		})
	})
	f.WantNothingLeft(t)
}

// dockerfileFailures are what a Dockerfile can do wrong by itself.
func dockerfileFailures(f *suite.Fixture) []failureCase {
	cases := []failureCase{
		{
			name: "base not found", dockerfile: "# none\nFROM " + f.Registry + "/library/busybox:no-such-tag\n",
			reason: failure.BaseImageNotFound, line: 2, says: []string{"library/busybox:no-such-tag", "check its name and tag"},
		},
		{
			name: "registry unreachable", dockerfile: "FROM registry.kiln-e2e.invalid/app:1\n",
			reason: failure.RegistryUnreachable, line: 1, says: []string{"registry.kiln-e2e.invalid"},
		},
		{
			name: "syntax", dockerfile: "FROM busybox\n\nRUUN make\n",
			reason: failure.DockerfileSyntax, line: 3, says: []string{"unknown instruction: RUUN", "did you mean RUN?"},
		},
		{
			name: "empty", dockerfile: "",
			reason: failure.DockerfileSyntax, says: []string{"Dockerfile", "no instructions"},
		},
		{
			name: "source missing", dockerfile: "FROM busybox\nCOPY nowhere.txt /\n",
			reason: failure.SourceMissing, line: 2, says: []string{"nowhere.txt is not in the build context", ".dockerignore"},
		},
		{ // the executor finds out
			name: "source missing in a stage", dockerfile: "FROM busybox AS built\nFROM busybox\nCOPY --from=built /nowhere.txt /\n",
			reason: failure.SourceMissing, line: 3, says: []string{"/nowhere.txt is not in the stage or image that is copied from"},
		},
		{
			name: "run failed", dockerfile: "FROM busybox\nRUN echo about to fail && exit 42\n",
			reason: failure.RunFailed, line: 2, says: []string{"failed with exit code 42"},
		},
		{
			name: "run without network", dockerfile: "FROM busybox\nRUN wget -q -O /x http://server.kiln-e2e.invalid/\n",
			reason: failure.RunFailed, line: 2, says: []string{"failed with exit code 1", "not to have reached a server"},
		},
		{
			name: "run forges a registry's failure", dockerfile: "FROM busybox\nRUN echo 'error pushing image: failed to push to destination x: unexpected status code 503 Service Unavailable' && exit 5\n",
			reason: failure.RunFailed, line: 2, says: []string{"failed with exit code 5"},
		},
		{
			name: "instruction failed", dockerfile: "FROM busybox\nADD http://127.0.0.1:9/x /x\n",
			reason: failure.InstructionFailed, line: 2, says: []string{"connection refused"},
		},
		{
			// /dev/shm is the one disk of a build that is small anywhere.
			name: "run fills a disk", dockerfile: "FROM busybox\nRUN dd if=/dev/zero of=/dev/shm/big bs=1M count=100\n",
			reason: failure.RunFailed, line: 2, says: []string{"a disk was full", "KILN_BUILD_STORAGE"},
		},
		{
			name: "unsupported instruction", dockerfile: "FROM busybox\nCOPY Dockerfile /kaniko/x\n",
			reason: failure.UnsupportedInstruction, line: 2, says: []string{"/kaniko"},
		},
		{
			name: "files left out", dockerfile: "FROM busybox\nRUN ln -s loop /loop && sleep 2\nRUN sleep 2\n",
			reason: failure.UnsupportedInstruction, line: 2, says: []string{"would lack files", "/loop"},
		},
	}
	if f.AuthRegistry != "" {
		cases = append(cases, failureCase{
			name: "base denied", dockerfile: "FROM " + f.AuthRegistry + "/library/busybox\n",
			reason: failure.BaseImageDenied, line: 1, says: []string{f.AuthRegistry + "/library/busybox", "has no access to it"},
		})
	}
	return cases
}

// smallFailures are what a build does wrong that gets 96 MiB of memory and 40
// of disk.
func smallFailures() []failureCase {
	return []failureCase{
		{
			name: "out of memory", dockerfile: "FROM busybox\nRUN tail /dev/zero\n",
			reason: failure.OutOfMemory, line: 2, says: []string{"ran out of memory", "KILN_BUILD_MEMORY"},
		},
		{
			name: "over the storage limit", dockerfile: "FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=100 && sleep 600\n",
			reason: failure.DiskFull, line: 2, says: []string{"KILN_BUILD_STORAGE"},
		},
	}
}

// failWithWrongCredentials pushes to a registry that knows other credentials.
func failWithWrongCredentials(t *testing.T, f *suite.Fixture) {
	if f.AuthRegistry == "" {
		t.Skip("KILN_E2E_AUTH_REGISTRY is not set")
	}
	const secret = "wrong-credentials"
	if err := f.RegistrySecret(t.Context(), f.Namespace, secret, "mallory", "guessed"); err != nil {
		t.Fatal(err)
	}
	g := f.Another(t, "wrong", func(o *harness.PodOptions) {
		o.RegistryHost = f.AuthRegistry + "/" + f.Namespace
		o.PullSecret = secret
	})
	failEach(t, g, []failureCase{{
		name: "push denied", dockerfile: "FROM busybox\nENTRYPOINT [\"true\"]\n",
		reason: failure.RegistryDeniedPush, says: []string{"Secret " + secret, f.AuthRegistry},
	}})
}

// failEach plays the cases at the same time.
func failEach(t *testing.T, f *suite.Fixture, cases []failureCase) {
	t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				marker := "fail-" + strings.ReplaceAll(c.name, " ", "-")
				step, files := sample.Build(marker, c.dockerfile)
				result := f.Play(t, step, files)
				wantFailure(t, step, result, c)
			})
		}
	})
}

// wantFailure fails the test unless the author reads what the case says, once,
// and no build that cannot help was tried again.
func wantFailure(t *testing.T, step runner.Step, result *harness.Result, c failureCase) {
	t.Helper()
	says := append([]string{c.reason.Mark()}, c.says...)
	if c.line > 0 {
		says = append(says, fmt.Sprintf("%s:%d: ", strings.TrimPrefix(step.Dockerfile, "_actions/"), c.line))
	}
	outcome.Error(t, result, says...)
	failed := regexp.MustCompile(`(?m)^kiln: attempt \d+ of \d+ failed`).FindAllString(result.Log, -1)
	if want := max(c.attempts, 1) - 1; len(failed) != want {
		t.Errorf("%d attempts are said to have failed before the last one, want %d:\n%s", len(failed), want, outcome.Tail(result.Log))
	}
	if strings.Contains(result.Log, "Usage:") {
		t.Errorf("the log has Kaniko's usage text:\n%s", outcome.Tail(result.Log))
	}
	if t.Failed() {
		t.Logf("log:\n%s", outcome.Tail(result.Log))
	}
}
