//go:build e2e

package e2e_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// TestBadInput gives the hook what it cannot serve: it says so in one line,
// fails, and leaves nothing behind.
func TestBadInput(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "bad", nil)
	tests := []struct {
		name string
		step runner.Step
		want string
	}{
		{"a job container", runner.Step{Command: "prepare_job"}, "prepare_job"},
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
				result, err := f.Step(t.Context(), tt.step, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				wantError(t, result, tt.want, "[bad_request]")
				if n := strings.Count(strings.TrimSpace(result.Log), "\n"); n > 3 {
					t.Errorf("the log has %d lines:\n%s", n+1, result.Log)
				}
				if result.Duration > 10*time.Second {
					t.Errorf("the hook took %v", result.Duration)
				}
			})
		}
	})
	t.Run("nothing is left", f.wantNothingLeft)
}

// TestNoDaemon runs the hook in a pod without the sidecar.
func TestNoDaemon(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "absent", func(_ stage, o *harness.PodOptions) {
		o.WithoutDaemon = true
		o.RunnerEnv = map[string]string{"KILN_DAEMON_GRACE": "2s"}
	})
	results := f.use(t, f.example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	wantError(t, results[0])
	if took := results[0].Duration; took > 15*time.Second {
		t.Errorf("the hook took %v, want about the grace of 2s", took)
	}
	f.wantEmptyExchange(t)
}

// TestFullExchange has a context that does not fit, then one that does.
func TestFullExchange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "full", func(_ stage, o *harness.PodOptions) {
		o.ExchangeLimit = resource.MustParse("4Mi")
	})
	big := make([]byte, 8<<20)
	if _, err := rand.Read(big); err != nil {
		t.Fatal(err)
	}
	u := harness.Use{Uses: "acme/hello-shell@v1"}
	results := f.use(t, f.example("hello-shell"), u, harness.Files{"_actions/acme/hello-shell/v1/big": {Data: big}})
	wantError(t, results[0], "no space left on device")
	f.wantEmptyExchange(t)

	u.Uses = "acme/hello-shell@v2"
	results = f.use(t, f.example("hello-shell"), u, nil)
	wantSuccess(t, results)
	f.wantNothingLeft(t)
}

// TestBrokenSettings starts the daemon with a setting that it cannot read: the
// runner pod starts all the same, and the step that needs kiln says why not.
func TestBrokenSettings(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "broken", func(_ stage, o *harness.PodOptions) {
		o.DaemonEnv = map[string]string{"KILN_BUILD_TIMEOUT": "soon"}
	})
	results := f.use(t, f.example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	wantError(t, results[0], "KILN_BUILD_TIMEOUT")
	f.wantNothingLeft(t)
}
