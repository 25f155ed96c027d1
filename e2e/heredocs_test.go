//go:build e2e

package e2e_test

import (
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// heredocsDockerfile has what kiln writes anew before Kaniko gets it: its image
// has to be Docker's, and its log the author's words. .dockerignore keeps a file
// out, and COPY . the Dockerfile as it is.
const heredocsDockerfile = `FROM busybox
ARG GREETING=hello
COPY <<-SCRIPT <<'TEXT' /opt/
	#!/bin/sh
	echo "$GREETING, $(cat /opt/TEXT)"
	ls /src
	grep -c SCRIPT /src/Dockerfile
	SCRIPT
$literal
TEXT
COPY ../../. /src/
RUN <<EOF
echo "a heredoc"
chmod +x /opt/SCRIPT &&
  test "$(cat /opt/TEXT)" = '$literal'
EOF
RUN cat <<'A' - <<B
never shown
A
second
B
ENTRYPOINT ["/opt/SCRIPT"]
`

// TestHeredocs builds a Dockerfile that Kaniko cannot build as it is.
func TestHeredocs(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "heredocs", nil)
	play := func(t *testing.T, id, dockerfile string) *harness.Result {
		t.Helper()
		dir := "_actions/acme/" + id + "/v1/"
		result := f.Play(t, runner.Step{ID: id, Repository: "acme/app", Dockerfile: dir + "Dockerfile"}, harness.Files{
			dir + "Dockerfile": {Data: []byte(dockerfile)}, dir + ".dockerignore": {Data: []byte("*\n!shown\n!Docker*\n")},
			dir + "hidden": {Data: []byte("x")}, dir + "shown": {Data: []byte("x")},
		})
		return result
	}
	t.Run("cases", func(t *testing.T) {
		t.Run("build", func(t *testing.T) {
			t.Parallel()
			result := play(t, "heredocs", heredocsDockerfile)
			outcome.Success(t, result)
			outcome.Lines(t, result,
				`#\d+ ARG GREETING=hello`,
				`#\d+ \[.*\] COPY <<-SCRIPT <<'TEXT' /opt/`,
				`#\d+ \[.*\] COPY ../../. /src/`,
				`#\d+ \[.*\] RUN <<EOF`,
				`#\d+ \[.*\] RUN cat <<'A' - <<B`,
				`#\d+ ENTRYPOINT .*`,
				`::endgroup::`,
				`hello, \$literal`, `Dockerfile`, `shown`, `5`,
			)
			outcome.Lines(t, result, `#\d+ \d+\.\d\d a heredoc`) // it may come late
			outcome.Lines(t, result, `#\d+ \d+\.\d\d second`)
			again := play(t, "heredocs", heredocsDockerfile)
			outcome.Success(t, again)
			outcome.Log(t, again, "reused (built ")
		})
		t.Run("failure", func(t *testing.T) {
			t.Parallel()
			result := play(t, "failing", "FROM busybox\nCOPY <<EOF /a\nEOF\nRUN <<EOF\necho before\nexit 7\nEOF\n")
			outcome.Error(t, result)
			outcome.Lines(t, result, `#\d+ \d+\.\d\d before`)
			outcome.Lines(t, result, `#\d+ \[3/3\] RUN <<EOF`, `#\d+ ERROR: exit status 7`,
				`::error::acme/failing/v1/Dockerfile:4: RUN <<EOF failed with exit code 7 \[run_failed\]`)
		})
		t.Run("refused", func(t *testing.T) {
			t.Parallel()
			result := play(t, "refused", "FROM busybox\nRUN <<EOF\n#!/bin/sh\nEOF\n")
			outcome.Error(t, result, "acme/refused/v1/Dockerfile:2: Docker runs this heredoc as a program of its own", "[unsupported_instruction]")
		})
	})
	f.WantNothingLeft(t)
}
