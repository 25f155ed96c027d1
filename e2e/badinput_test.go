//go:build e2e

package e2e_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/suite"
)

// TestBadInput gives the hook what it cannot serve: it says so in one line,
// fails, and leaves nothing behind.
func TestBadInput(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "bad", nil)
	tests := []struct {
		name string
		step runner.Step
		want string
	}{
		{"a step without its job", runner.Step{Command: runner.RunScriptStep, Script: &runner.Script{Text: "true"}}, "no state of a job container"},
		{"an unknown command", runner.Step{Command: "reticulate_splines"}, "reticulate_splines"},
		{"not JSON", runner.Step{Raw: []byte("{\"command\":\n")}, ""},
		{"nothing", runner.Step{Raw: []byte{}}, ""},
		{"neither image nor Dockerfile", runner.Step{}, ""},
		{"a Dockerfile that is not there", runner.Step{Dockerfile: "_actions/acme/gone/v1/Dockerfile"}, "_actions/acme/gone/v1"},
	}
	t.Run("cases", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				tt.step.Repository = "acme/app"
				result := f.Play(t, tt.step, nil)
				outcome.Error(t, result, tt.want, "[bad_request]")
				if n := strings.Count(strings.TrimSpace(result.Log), "\n"); n > 3 {
					t.Errorf("the log has %d lines:\n%s", n+1, result.Log)
				}
				if result.Duration > 20*time.Second {
					t.Errorf("the hook took %v", result.Duration)
				}
			})
		}
	})
	t.Run("nothing is left", f.WantNothingLeft)
}

// TestNoDaemon runs the hook in a pod without the sidecar.
func TestNoDaemon(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "absent", func(_ suite.Stage, o *harness.PodOptions) {
		o.WithoutDaemon = true
		o.RunnerEnv = map[string]string{"KILN_DAEMON_GRACE": "2s"}
	})
	results := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	outcome.Error(t, results[0])
	if took := results[0].Duration; took > 30*time.Second {
		t.Errorf("the hook took %v, want about the grace of 2s", took)
	}
	f.WantEmptyExchange(t)
}

// TestFullExchange has a context that does not fit, then one that does.
func TestFullExchange(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "full", func(_ suite.Stage, o *harness.PodOptions) {
		o.ExchangeLimit = resource.MustParse("4Mi")
	})
	big := make([]byte, 8<<20)
	if _, err := rand.Read(big); err != nil {
		t.Fatal(err)
	}
	u := harness.Use{Uses: "acme/hello-shell@v1"}
	results := f.Use(t, f.Example("hello-shell"), u, harness.Files{"_actions/acme/hello-shell/v1/big": {Data: big}})
	outcome.Error(t, results[0], "no space left on device")
	f.WantEmptyExchange(t)

	u.Uses = "acme/hello-shell@v2"
	results = f.Use(t, f.Example("hello-shell"), u, nil)
	outcome.Success(t, results...)
	f.WantNothingLeft(t)
}

// TestBrokenSettings starts the daemon with a setting that it cannot read: the
// runner pod starts all the same, and the step that needs kiln says why not.
func TestBrokenSettings(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "broken", func(_ suite.Stage, o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{"KILN_BUILD_TIMEOUT": "soon"}
	})
	results := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	outcome.Error(t, results[0], "KILN_BUILD_TIMEOUT")
	f.WantNothingLeft(t)
}
