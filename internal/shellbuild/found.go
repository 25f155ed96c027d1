package shellbuild

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/podrun"
	"kiln/internal/runnerpod"
)

// Objects of the chart: the settings, and the files that they name.
const (
	configMap = "kiln"
	filesMap  = "kiln-files"
)

// found is what a namespace tells of how its runners build.
type found struct {
	// values are settings by the names of their variables: those of the
	// ConfigMap, and above them those of a kiln container.
	values map[string]string
	// self is what the builds of a runner pod inherit; zero without one.
	self runnerpod.Self
	// sources say where this is from.
	sources []string
}

// look asks the namespace. What may not be read is as if it were not there: a
// person may have the right to create pods and no other.
func look(ctx context.Context, pods podrun.Client) (*found, error) {
	f := &found{values: map[string]string{}}
	config, err := pods.Kube.ConfigMaps(pods.Namespace).Get(ctx, configMap, metav1.GetOptions{})
	if err == nil {
		maps.Copy(f.values, config.Data)
		f.sources = append(f.sources, "the ConfigMap "+configMap)
	} else if !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("read the ConfigMap %s of the namespace %s: %w", configMap, pods.Namespace, err)
	}
	list, err := pods.Kube.Pods(pods.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		if apierrors.IsForbidden(err) {
			return f, nil
		}
		return nil, fmt.Errorf("list the pods of the namespace %s: %w", pods.Namespace, err)
	}
	f.take(list.Items)
	return f, nil
}

// take reads the newest runner pod with kiln in it.
func (f *found) take(pods []corev1.Pod) {
	var newest *corev1.Pod
	var sidecar corev1.Container
	for i := range pods {
		pod := &pods[i]
		kiln, ok := runnerpod.Sidecar(pod)
		switch {
		case !ok || !slices.Contains(kiln.Args, "run") || pod.DeletionTimestamp != nil:
		case newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp):
			newest, sidecar = pod, kiln
		}
	}
	if newest == nil {
		return
	}
	f.self = runnerpod.Inherited(newest, sidecar)
	for _, variable := range sidecar.Env {
		if variable.ValueFrom == nil {
			f.values[variable.Name] = variable.Value
		}
	}
	f.sources = append(f.sources, "the runner pod "+newest.Name)
}

// said says where the settings are from.
func (f *found) said() string {
	switch len(f.sources) {
	case 0:
		return ""
	case 1:
		return ", with settings of " + f.sources[0]
	}
	return ", with settings of " + f.sources[0] + " and " + f.sources[1]
}

// envTemplate names the file with the build template.
const envTemplate = "KILN_BUILD_TEMPLATE"

// settings are the values that mean the same here as in a kiln container: those
// that are paths or addresses in it do not.
func (f *found) settings() map[string]string {
	values := maps.Clone(f.values)
	for _, name := range []string{
		"KILN_CA_FILE", "KILN_DOCKER_CONFIG", "KILN_PULL_DOCKER_CONFIG", "ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE",
		"KILN_EXCHANGE", "KILN_STATE", "KILN_LISTEN", "KILN_METRICS_LISTEN", "KILN_POD_NAME", "KILN_NAMESPACE",
	} {
		delete(values, name)
	}
	return values
}

// keepTemplate writes the build template of the runners to a file below dir, and
// names that in the place of theirs.
func (f *found) keepTemplate(ctx context.Context, pods podrun.Client, dir string) error {
	path := f.values[envTemplate]
	if path == "" {
		return nil
	}
	delete(f.values, envTemplate)
	files, err := pods.Kube.ConfigMaps(pods.Namespace).Get(ctx, filesMap, metav1.GetOptions{})
	text, ok := files.Data[filepath.Base(path)]
	if err != nil || !ok {
		return usage("the runners place their builds by the file %s, and the ConfigMap %s does not have it (%v): give a file with --build-template", path, filesMap, err)
	}
	own := filepath.Join(dir, "build-template.yaml")
	if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
		return fmt.Errorf("keep the build template: %w", err)
	}
	f.values[envTemplate] = own
	return nil
}
