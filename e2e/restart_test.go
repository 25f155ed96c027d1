//go:build e2e

package e2e_test

import (
	"regexp"
	"slices"
	"strconv"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
)

// TestDaemonRestart kills the daemon's worker under a step: the worker that follows
// goes on with it, every line of the build's and of the action's log comes once, the
// build goes on in its pod, the next step is served, and the kubelet sees nothing of it.
func TestDaemonRestart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, after string
		builds      int // pods at most: a context may be cut off
	}{
		{"before the image is built", "kiln: not built yet", 2},
		{"while the image is built", "building slowly", 1},
		{"while the action runs", "\ntick 3\n", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := suite.New(t, "restart", func(_ suite.Stage, o *harness.PodOptions) { o.ShareProcesses = true })
			step, files := suite.Main(t, f.Testdata("ticks"))
			playing := f.Start(t.Context(), step, files)
			playing.Await(t, tt.after)
			if err := f.SignalDaemon(t.Context(), harness.Worker, "KILL"); err != nil {
				t.Fatal(err)
			}
			result := playing.Wait(t)
			outcome.Success(t, result)
			outcome.Log(t, result, "tick 40\n")
			wantTicks(t, result.Log)
			if builds := len(f.BuildPods()); builds > tt.builds {
				t.Errorf("%d build pods, want %d at most", builds, tt.builds)
			}
			f.WantNothingLeft(t)
			next := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
			outcome.Success(t, next...)
			if restarts, err := f.Restarts(t.Context()); err != nil || restarts != 0 {
				t.Errorf("the container was restarted %d times, %v", restarts, err)
			}
			f.WantNothingLeft(t)
		})
	}
}

// ticked is a line that the build of the action ticks prints, or the action.
var ticked = regexp.MustCompile(`(?m)^(#[0-9]+ [0-9.]+ )?tick ([0-9]+)$`)

// wantTicks fails the test unless the ticks in the log count up from one, first those of
// the build and then those of the action.
func wantTicks(t *testing.T, log string) {
	t.Helper()
	var got, want []string
	for _, found := range ticked.FindAllStringSubmatch(log, -1) {
		got = append(got, found[2])
	}
	for _, last := range []int{25, 40} {
		for n := range last {
			want = append(want, strconv.Itoa(n+1))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("ticks %v, want %v:\n%s", got, want, log)
	}
}
