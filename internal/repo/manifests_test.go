package repo_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// manifests decodes every object below manifests/, and fails on a field that its type
// does not have.
func manifests(t *testing.T) []runtime.Object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "manifests", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var objects []runtime.Object
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			object, _, err := strict.Decode(document, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			objects = append(objects, object)
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

// TestRole holds the Role to the list of calls that kiln makes: nothing more is granted,
// and above all no Secret is read.
func TestRole(t *testing.T) {
	want := map[string][]string{
		"/pods":        {"create", "delete", "get", "list", "patch", "watch"},
		"/pods/log":    {"get"},
		"/pods/attach": {"create", "get"},
		"batch/jobs":   {"create", "delete", "get", "list", "watch"},
		"/secrets":     {"create", "delete"},
		"/events":      {"create", "list"},
	}
	got := map[string][]string{}
	for _, rule := range only[*rbacv1.Role](t).Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				got[group+"/"+resource] = slices.Sorted(slices.Values(rule.Verbs))
			}
		}
		if len(rule.ResourceNames)+len(rule.NonResourceURLs) > 0 {
			t.Errorf("rule %v names objects or URLs", rule)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rights differ (-want +got):\n%s", diff)
	}
}

// TestSealedPod holds the example pod to what sealed mode means: the token and the
// memory are in reach of the kiln container alone.
func TestSealedPod(t *testing.T) {
	pod := only[*corev1.Pod](t)
	if mounted := pod.Spec.AutomountServiceAccountToken; mounted == nil || *mounted {
		t.Error("the service account token is mounted in every container")
	}
	containers := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for _, volume := range []string{"kiln-token", "kiln-memory"} {
		for _, container := range containers {
			mounts := slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume })
			if wants := container.Name == "kiln"; mounts != wants {
				t.Errorf("container %s mounts %s: got %v, want %v", container.Name, volume, mounts, wants)
			}
		}
	}
}
