//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// TestRunRights builds Dockerfiles whose RUN needs what Docker gives it: setuid
// programs, another root directory, its standard output as any user, and somebody
// who reaps what it leaves behind.
func TestRunRights(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "rights", nil)
	for name, dockerfile := range map[string]string{
		"setuid": "FROM debian:bookworm-slim\nRUN cp /usr/bin/id /usr/bin/rid && chmod 4755 /usr/bin/rid\nUSER daemon\n" +
			"RUN test \"$(rid -u)\" = 0 && test \"$(id -u)\" = 1\n",
		"chroot": "FROM busybox\nRUN mkdir -p /r/bin && cp /bin/busybox /r/bin/sh && chroot /r /bin/sh -c 'echo in > /f' && test \"$(cat /r/f)\" = in\n",
		"standard output": "FROM debian:bookworm-slim\nUSER daemon\n" +
			"RUN echo 'to its path' > /dev/stdout && echo 'to the other' > /dev/stderr\n",
		"zombie": "FROM busybox\nRUN sh -c 'sleep 60 & echo $! > /pid'; kill $(cat /pid); i=0; " +
			"while kill -0 $(cat /pid); do i=$((i+1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done\n",
		// Root of the container cannot change what the gate's container has put there.
		"first process": "FROM busybox\nRUN v=/kan''iko/kiln; test -x $v/init && ! touch $v/x && ! rm -f $v/init && ! mount -o remount,rw $v && " +
			"! umount $v && kill -9 1 && test -d /proc/1 && tr '\\0' '\\n' </proc/1/cmdline | head -n 1 | grep -x $v/init\n",
		"device": "FROM busybox\nRUN mknod /null c 1 3 && echo x > /null && mknod -m 600 /pipe p\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := rights(t, f, strings.ReplaceAll(name, " ", "-"), dockerfile)
			outcome.Success(t, result)
		})
	}
	for signal, reason := range map[string]string{"KILL": "[out_of_memory]", "TERM": "[internal]"} {
		t.Run("ended by "+signal, func(t *testing.T) {
			t.Parallel()
			result := rights(t, f, strings.ToLower(signal), "FROM busybox\nRUN kill -"+signal+" $PPID; sleep 60\n")
			outcome.Error(t, result)
			outcome.Log(t, result, reason)
			if strings.Contains(result.Log, "kiln: attempt ") {
				t.Errorf("a RUN that ends Kaniko is tried again:\n%s", outcome.Tail(result.Log))
			}
		})
	}
	t.Run("minimal", func(t *testing.T) {
		t.Parallel()
		few := f.Another(t, "few", func(o *harness.PodOptions) { o.DaemonEnv = map[string]string{"KILN_BUILD_RIGHTS": "minimal"} })
		result := rights(t, few, "minimal", "FROM busybox\nRUN chroot / true\n")
		outcome.Error(t, result)
		outcome.Log(t, result, "Operation not permitted", "[run_failed]")
	})
}

// rights builds a Dockerfile and runs it.
func rights(t *testing.T, f *suite.Fixture, name, dockerfile string) *harness.Result {
	t.Helper()
	return f.PlayDockerfile(t, runner.Step{ID: name, Dockerfile: "_actions/acme/" + name + "/v1/Dockerfile"}, dockerfile+"ENTRYPOINT [\"true\"]\n")
}
