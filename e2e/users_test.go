//go:build e2e

package e2e_test

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// testUsers starts images as Docker does: with the group of their USER, and not at
// all with a USER that they do not know or with nothing to run. What fails does so
// at once, and says what is wrong.
func testUsers(t *testing.T, f *suite.Fixture) {
	script := []string{"-c", `echo "user $(id -u), group $(id -g)"`}
	tests := []struct {
		name, user string
		command    []string
		want       string   // what id says
		says       []string // or why it fails
	}{
		{"numbers", "1001:121", []string{"/bin/sh"}, "user 1001, group 121\n", nil},
		{"names", "daemon:www-data", []string{"/bin/sh"}, "user 1, group 33\n", nil},
		{"a group alone", ":121", []string{"/bin/sh"}, "user 0, group 121\n", nil},
		{"a user's own group", "www-data", []string{"/bin/sh"}, "user 33, group 33\n", nil},
		{"an unknown user", "ghost", []string{"/bin/sh"}, "", []string{"unable to find", "no matching entries in passwd file", "[action_failed]"}},
		{"an unknown user with a group", "ghost:121", []string{"/bin/sh"}, "", []string{"unable to find user ghost: no matching entries in passwd file", "[action_failed]"}},
		{"an unknown group", "daemon:ghosts", []string{"/bin/sh"}, "", []string{"unable to find group ghosts: no matching entries in group file", "[action_failed]"}},
		{"nothing to run", "", nil, "", []string{"no command specified", "[action_failed]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			step := runner.Step{Image: f.Image(t, v1.Config{User: tt.user, Entrypoint: tt.command})}
			if tt.want != "" {
				step.Args = script
			}
			began := time.Now()
			result := f.Play(t, step, nil)
			if tt.want != "" {
				outcome.OwnLog(t, result, tt.want)
				return
			}
			outcome.Error(t, result, tt.says...)
			if took := time.Since(began); took > 2*time.Minute {
				t.Errorf("the step took %v to fail", took)
			}
		})
	}
	t.Run("of a Dockerfile", func(t *testing.T) {
		t.Parallel()
		results := f.Use(t, f.Testdata("modes"), harness.Use{Uses: "acme/users@v1"}, harness.Files{
			"_actions/acme/users/v1/Dockerfile": {Data: []byte("FROM busybox\nUSER 1001:121\nENTRYPOINT [\"/bin/sh\", \"-c\", \"echo \\\"user $(id -u), group $(id -g)\\\"\"]\n"), Mode: 0o644},
		})
		if log := results[0].Log; results[0].ExitCode != 0 || !strings.Contains(log, "user 1001, group 121\n") {
			t.Errorf("exit code %d:\n%s", results[0].ExitCode, outcome.Tail(log))
		}
	})
}
