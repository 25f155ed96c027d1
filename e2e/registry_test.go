//go:build e2e

package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"kiln/e2e/harness"
	"kiln/e2e/outcome"
	"kiln/e2e/runner"
	"kiln/e2e/sample"
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

// TestJobCredentials has a job container and a service of private images: each is pulled
// with its own credentials, and with no other's, also where both are in one registry.
func TestJobCredentials(t *testing.T) {
	t.Parallel()
	f := suite.New(t, "credentials", suite.AuthRegistry(t, harness.PullSecret))
	for _, marker := range []string{"private-a", "private-b"} {
		step, files := sample.Build(marker, "FROM busybox\nCMD [\"sleep\", \"600\"]\n")
		step.EntryPoint = "true"
		outcome.Success(t, f.Play(t, step, files))
	}
	pods := f.Seen.With("job")
	if len(pods) != 2 {
		t.Fatalf("%d actions ran, want 2", len(pods))
	}
	plain := f.Another(t, "plain", func(o *harness.PodOptions) {
		o.RegistryHost = f.Registry + "/" + f.Namespace
	})
	private := func(pod int, user string) runner.Container {
		return runner.Container{Image: harness.Container(pods[pod], "job").Image, User: user, Password: f.AuthPassword}
	}
	pulled := func(job, service runner.Container) {
		t.Helper()
		j := plain.Prepare(t, runner.Job{Container: &job, Services: []runner.Service{{Container: service}}}, nil)
		outcome.OwnLog(t, j.Run(t, "echo pulled"), "pulled\n")
		j.End(t)
	}
	job, service := private(0, f.AuthUser), private(1, f.AuthUser)
	pulled(job, service)
	t.Run("two logins", func(t *testing.T) {
		if f.AuthReader == "" {
			t.Skip("KILN_E2E_AUTH_READER is not set")
		}
		one, other := readerOf(t, f, job.Image), readerOf(t, f, service.Image)
		pulled(private(0, one), private(1, other))
		pulled(private(0, other), private(0, one)) // of one repository: the node tries both
	})
	service.User = ""
	j, result := plain.TryPrepare(t, runner.Job{Container: &job, Services: []runner.Service{{Container: service}}}, nil)
	outcome.Error(t, result, "[action_image_pull]", "the node cannot pull image "+service.Image, "401 Unauthorized")
	if strings.Contains(result.Log, "KILN_PENDING_TIMEOUT") {
		t.Error("the job waited for rights that nobody gives")
	}
	j.End(t)
	f.WantNothingLeft(t)
}

// readerOf is the user who may read the repository of the image, and no other.
func readerOf(t *testing.T, f *suite.Fixture, image string) string {
	t.Helper()
	parsed, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(f.AuthReader, "%s", parsed.Context().RepositoryStr())
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
