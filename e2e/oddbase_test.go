//go:build e2e

package e2e_test

import (
	"testing"

	"kiln/internal/failure"
)

// TestOddBase: a base with a named pipe, which Kaniko leaves out, ends a build
// whose RUN could see that, at the line of FROM; a build that only copies goes
// well.
func TestOddBase(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "odd-base", nil)
	base, err := f.PipedBase(t.Context(), f.Namespace+"-bases/piped:1")
	if err != nil {
		t.Fatal(err)
	}
	f.failEach(t, []failureCase{{
		name: "piped", dockerfile: "# a pipe\nFROM " + base + "\nRUN test -p /srv/q/pipe\n",
		reason: failure.UnsupportedInstruction, line: 2, says: []string{"holds a named pipe, /srv/q/pipe"},
	}})
	step, files := plainBuild("FROM " + base + "\nCOPY Dockerfile /d\nENTRYPOINT [\"test\", \"-p\", \"/srv/q/pipe\"]\n")("piped-copy")
	result, err := f.Step(t.Context(), step, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode != 0 {
		t.Errorf("exit code %d\n%s", result.ExitCode, tail(result.Log))
	}
}
