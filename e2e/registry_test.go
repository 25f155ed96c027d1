//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"kiln/e2e/harness"
)

// TestRegistryWithAuth pushes to a registry that wants basic auth and has the
// node pull from it.
func TestRegistryWithAuth(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "auth", authRegistry(t, harness.PullSecret))
	results := f.use(t, f.example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	wantSuccess(t, results)
	if got := results[0].Outputs["greeting"]; got != "Hello, World!" {
		t.Errorf("output greeting = %q", got)
	}
	for _, pod := range f.seen.With("job") {
		image := container(pod, "job").Image
		if !strings.HasPrefix(image, f.AuthRegistry+"/") || len(pod.Spec.ImagePullSecrets) == 0 {
			t.Errorf("action pod runs %s with pull secrets %v", image, pod.Spec.ImagePullSecrets)
		}
	}
	f.wantHarmlessBuildPods(t)
	f.wantNothingLeft(t)
}

// TestRegistryRefuses has no credentials for a registry that wants some.
func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "refused", authRegistry(t, ""))
	results := f.use(t, f.example("hello-shell"), harness.Use{Uses: "acme/hello-shell@v1"}, nil)
	wantError(t, results[0], "[registry_denied_push]")
	if len(f.seen.With("job")) > 0 {
		t.Error("an action ran although its image could not be pushed")
	}
	f.wantNothingLeft(t)
}

func authRegistry(t *testing.T, secret string) func(stage, *harness.PodOptions) {
	return func(s stage, o *harness.PodOptions) {
		if s.AuthRegistry == "" {
			t.Skip("KILN_E2E_AUTH_REGISTRY is not set")
		}
		_, namespace, _ := strings.Cut(o.RegistryHost, "/")
		o.RegistryHost = s.AuthRegistry + "/" + namespace
		o.PullSecret = secret
	}
}
