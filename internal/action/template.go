package action

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kiln/internal/podtemplate"
)

// labelRunnerPod is by what the stock hook and Actions Runner Controller find a
// runner's pods and Secrets to delete them. No object of a step has it: the owner
// reference has them removed with the runner, and cleanup_job of the stock hook
// fails the job if a pod that it has listed is gone when it deletes it
// (actions/runner-container-hooks, packages/k8s/src/k8s/index.ts, prunePods).
const labelRunnerPod = "runner-pod"

// jobContainer is what the extension calls the action's container.
const jobContainer = "$job"

// Template is the operator's hook extension: a pod template whose parts are
// merged into the action's Job by the rules of the stock hook
// (actions/runner-container-hooks, docs/adrs/0134-hook-extensions.md), except
// that it cannot replace the entry point, arguments, working directory and
// environment of an action, nor the restart policy and kiln's own labels, and
// that it cannot set the label by which a runner's pods are deleted. It is not
// changed by its methods.
type Template struct {
	meta map[string]map[string]string // labels and annotations
	spec map[string]any               // the keys of the pod spec that it sets
	job  map[string]any               // the keys of the container $job
	side []any                        // further containers
}

// extension is what a file of the stock hook may hold. It may call itself a
// PodTemplate.
type extension struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metav1.ObjectMeta `json:"metadata"`
	Spec       corev1.PodSpec    `json:"spec"`
}

// ParseTemplate reads an extension as [podtemplate.Decode] does: what is no
// field of a pod template, and what Kubernetes would not take, is an error with
// its line.
func ParseTemplate(data []byte) (*Template, error) {
	var typed extension
	document, err := podtemplate.Decode(data, &typed)
	if err != nil {
		return nil, fmt.Errorf("parse pod template: %w", err)
	}
	spec, _ := document["spec"].(map[string]any)
	t := &Template{
		meta: map[string]map[string]string{"labels": typed.Metadata.Labels, "annotations": typed.Metadata.Annotations},
		spec: spec,
	}
	return t, t.takeContainers()
}

// takeContainers sorts the containers of the template into $job, those for
// service containers, which steps have none of, and further ones.
func (t *Template) takeContainers() error {
	containers, _ := t.spec["containers"].([]any)
	delete(t.spec, "containers")
	for _, entry := range containers {
		container, ok := entry.(map[string]any)
		if !ok {
			return fmt.Errorf("parse pod template: a container is not an object")
		}
		name, _ := container["name"].(string)
		switch {
		case name == jobContainer:
			t.job = container
		case name == ContainerName || name == "":
			return fmt.Errorf("parse pod template: a container is called %q: call it %s to change the action's container, else choose another name", name, jobContainer)
		case !strings.HasPrefix(name, "$"):
			t.side = append(t.side, container)
		}
	}
	return nil
}

// Apply merges the template into job and returns what it set aside, for the
// log. A nil template changes nothing.
func (t *Template) Apply(job *batchv1.Job) (ignored []string, err error) {
	if t == nil {
		return nil, nil
	}
	for _, meta := range []struct{ labels, annotations *map[string]string }{
		{&job.Labels, &job.Annotations},
		{&job.Spec.Template.Labels, &job.Spec.Template.Annotations},
	} {
		ignored = append(ignored, addMissing(meta.labels, t.meta["labels"])...)
		ignored = append(ignored, addMissing(meta.annotations, t.meta["annotations"])...)
	}
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&job.Spec.Template.Spec)
	if err != nil {
		return nil, fmt.Errorf("merge pod template: %w", err)
	}
	ignored = append(ignored, t.mergeSpec(spec)...)
	merged := corev1.PodSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &merged); err != nil {
		return nil, fmt.Errorf("merge pod template: %w", err)
	}
	job.Spec.Template.Spec = merged
	slices.Sort(ignored)
	return slices.Compact(ignored), nil
}

// addMissing adds what is not there yet and returns the keys that it did not add:
// kiln's own labels are how its objects are found.
func addMissing(have *map[string]string, more map[string]string) (ignored []string) {
	merged := maps.Clone(*have)
	if merged == nil && len(more) > 0 {
		merged = map[string]string{}
	}
	for key, value := range more {
		if _, taken := merged[key]; taken || key == labelRunnerPod {
			ignored = append(ignored, "metadata "+key)
			continue
		}
		merged[key] = value
	}
	*have = merged
	return ignored
}

// mergeSpec replaces the keys of the pod spec that the template sets, and
// appends volumes and containers.
func (t *Template) mergeSpec(spec map[string]any) (ignored []string) {
	for key, value := range t.spec {
		switch key {
		case "restartPolicy":
			ignored = append(ignored, "spec.restartPolicy")
		case "volumes":
			spec[key] = appended(spec[key], value)
		default:
			spec[key] = runtime.DeepCopyJSONValue(value)
		}
	}
	containers, _ := spec["containers"].([]any)
	if action, ok := containers[0].(map[string]any); ok {
		ignored = append(ignored, t.mergeJob(action)...)
	}
	spec["containers"] = appended(containers, t.side)
	return ignored
}

// mergeJob merges $job into the action's container.
func (t *Template) mergeJob(container map[string]any) (ignored []string) {
	for key, value := range t.job {
		switch key {
		case "name":
		case "image", "command", "args", "workingDir":
			ignored = append(ignored, jobContainer+"."+key)
		case "env":
			added, refused := newNames(container[key], value)
			container[key] = appended(container[key], added)
			ignored = append(ignored, refused...)
		case "volumeMounts", "ports":
			container[key] = appended(container[key], value)
		default:
			container[key] = runtime.DeepCopyJSONValue(value)
		}
	}
	return ignored
}

// newNames returns the variables of more that have does not set.
func newNames(have, more any) (added []any, refused []string) {
	names := map[any]bool{}
	for _, entry := range list(have) {
		if variable, ok := entry.(map[string]any); ok {
			names[variable["name"]] = true
		}
	}
	for _, entry := range list(more) {
		variable, ok := entry.(map[string]any)
		if ok && names[variable["name"]] {
			refused = append(refused, fmt.Sprintf("%s.env %s", jobContainer, variable["name"]))
			continue
		}
		added = append(added, entry)
	}
	return added, refused
}

// appended returns a list of both lists' entries.
func appended(have, more any) []any {
	result := slices.Clone(list(have))
	for _, entry := range list(more) {
		result = append(result, runtime.DeepCopyJSONValue(entry))
	}
	return result
}

// list returns value as a list, and none for anything else.
func list(value any) []any {
	entries, _ := value.([]any)
	return entries
}
