package repo_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"kiln/internal/doctor"
	"kiln/internal/scaleset"
)

// kustomization is the one file below manifests/ that is no object of the cluster.
const kustomization = "kustomization.yaml"

// manifests decodes every object below manifests/, and fails on a field that its type
// does not have.
func manifests(t *testing.T) []runtime.Object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "manifests", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	var objects []runtime.Object
	for _, file := range files {
		if filepath.Base(file) != kustomization {
			objects = append(objects, decode(t, file)...)
		}
	}
	return objects
}

// only returns the one object of a type among the manifests.
func only[T runtime.Object](t *testing.T) T {
	t.Helper()
	var found []T
	for _, object := range manifests(t) {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

// TestKustomization wants all of manifests/ in the kustomization but the example pod:
// runner pods belong to whoever runs the runners.
func TestKustomization(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "manifests", kustomization))
	if err != nil {
		t.Fatal(err)
	}
	var listed struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Resources  []string `json:"resources"`
	}
	if err := yaml.UnmarshalStrict(data, &listed); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "manifests", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, file := range files {
		if name := filepath.Base(file); name != kustomization && name != "runner-pod.yaml" {
			want = append(want, name)
		}
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(listed.Resources))); diff != "" {
		t.Errorf("the kustomization's resources differ (-files +listed):\n%s", diff)
	}
}

// TestRunnerPod holds the example pod to the overlay of sealed mode.
func TestRunnerPod(t *testing.T) {
	text, err := scaleset.Values(scaleset.Settings{Image: "registry.example.com/kiln:dev", RegistrySecret: "kiln-registry"})
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Template corev1.PodTemplateSpec `json:"template"`
	}
	if err := yaml.UnmarshalStrict([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	want := values.Template.Spec
	want.RestartPolicy = corev1.RestartPolicyNever // as the controller sets it
	pod := only[*corev1.Pod](t)
	if diff := cmp.Diff(want, pod.Spec); diff != "" {
		t.Errorf("manifests/runner-pod.yaml differs from `kilnd render-values` (-overlay +pod):\n%s", diff)
	}
	for key, value := range values.Template.Labels {
		if pod.Labels[key] != value {
			t.Errorf("manifests/runner-pod.yaml has no label %s: %s", key, value)
		}
	}
}

// TestRole holds the Role, without Helm and of the chart, to the list of calls that kiln
// makes, which is also what doctor asks for: nothing more is granted, and above all no
// Secret is read.
func TestRole(t *testing.T) {
	want := map[string][]string{
		"/pods":        {"create", "delete", "get", "list", "patch", "watch"},
		"/pods/log":    {"get"},
		"/pods/attach": {"create", "get"},
		"batch/jobs":   {"create", "delete", "get", "list", "watch"},
		"/secrets":     {"create", "delete"},
		"/events":      {"create", "list"},
	}
	asked := map[string][]string{}
	for _, right := range doctor.Rights() {
		asked[right.Group+"/"+right.Resource] = slices.Sorted(slices.Values(right.Verbs))
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("what doctor asks for differs (-want +got):\n%s", diff)
	}
	for name, role := range map[string]*rbacv1.Role{
		"manifests/":  only[*rbacv1.Role](t),
		"charts/kiln": named[*rbacv1.Role](t, rendered(t, "full"), "kiln"),
	} {
		if diff := cmp.Diff(want, rights(t, role)); diff != "" {
			t.Errorf("the rights of %s differ (-want +got):\n%s", name, diff)
		}
	}
}

// rights are the verbs that a Role grants, by group and resource.
func rights(t *testing.T, role *rbacv1.Role) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				got[group+"/"+resource] = slices.Sorted(slices.Values(rule.Verbs))
			}
		}
		if len(rule.ResourceNames)+len(rule.NonResourceURLs) > 0 {
			t.Errorf("rule %v names objects or URLs", rule)
		}
	}
	return got
}

// TestSealedPod holds the example pod to what sealed mode means: the token and the
// state are in reach of the kiln container alone.
func TestSealedPod(t *testing.T) {
	pod := only[*corev1.Pod](t)
	if mounted := pod.Spec.AutomountServiceAccountToken; mounted == nil || *mounted {
		t.Error("the service account token is mounted in every container")
	}
	containers := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for _, volume := range []string{"kiln-token", "kiln-state"} {
		for _, container := range containers {
			mounts := slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume })
			if wants := container.Name == "kiln"; mounts != wants {
				t.Errorf("container %s mounts %s: got %v, want %v", container.Name, volume, mounts, wants)
			}
		}
	}
}
