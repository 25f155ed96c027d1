//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
)

// TestNovolume runs kiln in a runner pod that is set up for containerMode
// kubernetes-novolume, with a work folder added as its users do: kilnd says at once
// that it cannot serve that, and so does each step.
func TestNovolume(t *testing.T) {
	t.Parallel()
	const said = "is set up for containerMode kubernetes-novolume (KILN_DELEGATE=/home/runner/k8s-novolume/index.js), which kiln does not support"
	f := suite.New(t, "novolume", func(_ suite.Stage, o *harness.PodOptions) {
		o.RunnerEnv = map[string]string{
			"ACTIONS_RUNNER_IMAGE": "ghcr.io/actions/actions-runner:latest",
			"KILN_DELEGATE":        "/home/runner/k8s-novolume/index.js",
		}
		o.Adjust = func(pod *corev1.Pod) {
			for i := range pod.Spec.Volumes {
				if v := &pod.Spec.Volumes[i]; v.Name == "work" {
					v.VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
				}
			}
		}
	})
	awaitText(t, said, func(ctx context.Context) (string, error) { return f.Page(ctx, suite.ReadyPort, "readyz") })
	awaitText(t, said, f.DaemonLog)
	f.WantMetrics(t, "kiln_config_valid 0")
	results := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	outcome.Error(t, results[0], said)
	if pods := f.BuildPods(); len(pods) > 0 {
		t.Errorf("%d build pods", len(pods))
	}
	f.WantNothingLeft(t)
}

// awaitText waits until what read returns contains the text.
func awaitText(t *testing.T, text string, read func(context.Context) (string, error)) {
	t.Helper()
	err := harness.Eventually(t.Context(), 30*time.Second, func(ctx context.Context) error {
		got, err := read(ctx)
		if err == nil && !strings.Contains(got, text) {
			err = fmt.Errorf("no %q in %q", text, got)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
