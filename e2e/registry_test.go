//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/suite"
)

// TestRegistryWithAuth pushes to a registry that wants basic auth and has the
// node pull from it.
func TestRegistryWithAuth(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "auth", suite.AuthRegistry(t, harness.PullSecret))
	results := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	outcome.Success(t, results...)
	if got := results[0].Outputs["greeting"]; got != "Hello, World!" {
		t.Errorf("output greeting = %q", got)
	}
	for _, pod := range f.Seen.With("job") {
		image := harness.Container(pod, "job").Image
		if !strings.HasPrefix(image, f.AuthRegistry+"/") || len(pod.Spec.ImagePullSecrets) == 0 {
			t.Errorf("action pod runs %s with pull secrets %v", image, pod.Spec.ImagePullSecrets)
		}
	}
	f.WantHarmlessBuildPods(t)
	f.WantNothingLeft(t)
}

// TestRegistryRefuses has no credentials for a registry that wants some.
func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "refused", suite.AuthRegistry(t, ""))
	results := f.Use(t, f.Example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	outcome.Error(t, results[0], "[registry_denied_push]")
	if len(f.Seen.With("job")) > 0 {
		t.Error("an action ran although its image could not be pushed")
	}
	f.WantNothingLeft(t)
}
