//go:build e2e

package e2e_test

import (
	"testing"

	"kiln/e2e/outcome"
	"kiln/e2e/sample"
	"kiln/e2e/suite"
	"kiln/internal/failure"
)

// TestOddBase: a base with a named pipe, which Kaniko leaves out, ends a build
// whose RUN could see that, at the line of FROM; a build that only copies goes
// well.
func TestOddBase(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "odd-base", nil)
	base, err := f.PipedBase(t.Context(), f.Namespace+"-bases/piped:1")
	if err != nil {
		t.Fatal(err)
	}
	failEach(t, f, []failureCase{{
		name: "piped", dockerfile: "# a pipe\nFROM " + base + "\nRUN test -p /srv/q/pipe\n",
		reason: failure.UnsupportedInstruction, line: 2, says: []string{"holds a named pipe, /srv/q/pipe"},
	}})
	step, files := sample.Build("piped-copy", "FROM "+base+"\nCOPY Dockerfile /d\nENTRYPOINT [\"test\", \"-p\", \"/srv/q/pipe\"]\n")
	result := f.Play(t, step, files)
	if result.ExitCode != 0 {
		t.Errorf("exit code %d\n%s", result.ExitCode, outcome.Tail(result.Log))
	}
}
