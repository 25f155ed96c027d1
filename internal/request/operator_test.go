package request

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/config"
	"kiln/internal/metrics"
	"kiln/internal/podoptions"
	"kiln/internal/resolver"
	"kiln/internal/runnerpod"
)

// files writes files into a directory of the test's and returns their paths.
func files(t *testing.T, contents ...string) []string {
	t.Helper()
	var paths []string
	for i, content := range contents {
		path := filepath.Join(t.TempDir(), string(rune('a'+i)))
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// TestParse names every setting to mend.
func TestParse(t *testing.T) {
	written := files(t, "spec:\n  nodeSelector: {pool: builds}\n", "spec: [", "no certificate")
	good, bad, noRoots := written[0], written[1], written[2]
	none := filepath.Join(t.TempDir(), "none")
	for name, tt := range map[string]struct {
		change func(*config.Settings)
		says   []string // none for no error
	}{
		"well":                     {func(*config.Settings) {}, nil},
		"templates":                {func(s *config.Settings) { s.ActionTemplate, s.BuildTemplate = good, good }, nil},
		"a pull Secret of its own": {func(s *config.Settings) { s.PullDocker = none + ".json" }, nil},
		"values": {func(s *config.Settings) {
			s.Mirrors, s.Insecure, s.PlainLogin, s.PullAllow = []string{"docker.io"}, []string{"a/b"}, []string{"a/b"}, []string{"*"}
		}, []string{"KILN_REGISTRY_MIRRORS", "KILN_INSECURE_REGISTRIES", "KILN_PLAIN_LOGIN", "KILN_PULL_ALLOW"}},
		"no template":         {func(s *config.Settings) { s.ActionTemplate = none }, []string{"ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE: open", "mount the file in the kiln container"}},
		"unreadable template": {func(s *config.Settings) { s.BuildTemplate = bad }, []string{"KILN_BUILD_TEMPLATE: " + bad}},
		"authorities":         {func(s *config.Settings) { s.CAFile = noRoots }, []string{"KILN_CA_FILE"}},
	} {
		t.Run(name, func(t *testing.T) {
			settings := config.Settings{KanikoImage: config.KanikoImage, RegistryHost: "registry.example.com/ci", DockerConfig: none, JobRights: podoptions.RightsBaseline}
			tt.change(&settings)
			operator, err := Parse(&settings, Network{Hosts: resolver.New(resolver.Config{}), Metrics: metrics.New(metrics.Options{})})
			if len(tt.says) == 0 {
				push, _ := operator.Names.Image("app", "1")
				if err != nil || operator.Registry == nil || push != "registry.example.com/ci/app:1" {
					t.Errorf("operator %+v, error %v", operator, err)
				}
				return
			}
			for _, want := range tt.says {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			}
		})
	}
}

// TestSpecimen: a build pod and a Job as those of a step, and an error where the
// templates make none.
func TestSpecimen(t *testing.T) {
	settings := config.Settings{
		KanikoImage: config.KanikoImage, RegistryHost: "registry.example.com/ci", BuildRights: "docker", BuildUserns: config.UsernsOff, BuildMemory: "1Gi", BuildStorage: "1Gi",
		JobRights: podoptions.RightsBaseline,
	}
	operator, err := Parse(&settings, Network{})
	if err != nil {
		t.Fatal(err)
	}
	self := runnerpod.Self{Name: "runner-1", UID: "u1", Image: "registry.example.com/kiln:1", Claim: "work", WorkMount: "/w", PullSecrets: []corev1.LocalObjectReference{{Name: "pull"}}}
	specimen, err := SpecimenOf(operator, "ci", self)
	if err != nil {
		t.Fatal(err)
	}
	image := specimen.Action.Spec.Template.Spec.Containers[0].Image
	if specimen.Build.Namespace != "ci" || len(specimen.Build.Spec.Containers) != 2 || !strings.HasPrefix(image, "registry.example.com/ci/kiln-specimen@sha256:000") {
		t.Errorf("build %+v, image %s", specimen.Build, image)
	}
	if pod := specimen.Job; pod.Namespace != "ci" || pod.Spec.Containers[0].Image != image || pod.OwnerReferences[0].UID != "u1" {
		t.Errorf("job %+v", pod)
	}
	settings.BuildMemory = "much"
	if _, err := SpecimenOf(operator, "ci", self); err == nil {
		t.Error("no error of a build pod with the memory much")
	}
}

// TestBuildSettings hands on each setting that builds use.
func TestBuildSettings(t *testing.T) {
	var all config.Settings
	fill(reflect.ValueOf(&all).Elem())
	all.Assemble = config.AssembleOn
	got := reflect.ValueOf(buildSettings(&all))
	for i := range got.NumField() {
		if got.Field(i).IsZero() {
			t.Errorf("%s is not handed on", got.Type().Field(i).Name)
		}
	}
}

// fill gives all strings, numbers and lists of strings a value.
func fill(v reflect.Value) {
	for _, field := range v.Fields() {
		switch field.Kind() {
		case reflect.String:
			field.SetString("set")
		case reflect.Int, reflect.Int64:
			field.SetInt(1)
		case reflect.Slice:
			if field.Type().Elem().Kind() == reflect.String {
				field.Set(reflect.ValueOf([]string{"set"}))
			}
		case reflect.Struct:
			fill(field)
		}
	}
}
