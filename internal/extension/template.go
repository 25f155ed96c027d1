package extension

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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

// own begins the name of a container of the template that changes the container of
// kiln's that is called by the rest.
const own = "$"

// jobContainer is what kiln calls the container of an action and that of a job, as
// the stock hook does.
const jobContainer = "job"

// Template is the operator's. It is not changed by its methods.
type Template struct {
	meta  map[string]map[string]string // labels and annotations
	spec  map[string]any               // the keys of the pod spec that it sets
	named map[string]map[string]any    // the keys of the containers $NAME
	side  []any                        // further containers
}

// extension is what a file of the stock hook may hold. It may call itself a
// PodTemplate.
type extension struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metav1.ObjectMeta `json:"metadata"`
	Spec       corev1.PodSpec    `json:"spec"`
}

// Parse reads an extension as [podtemplate.Decode] does: what is no
// field of a pod template, and what Kubernetes would not take, is an error with
// its line.
func Parse(data []byte) (*Template, error) {
	var typed extension
	document, err := podtemplate.Decode(data, &typed)
	if err != nil {
		return nil, fmt.Errorf("parse pod template: %w", err)
	}
	spec, _ := document["spec"].(map[string]any)
	t := &Template{
		meta:  map[string]map[string]string{"labels": typed.Metadata.Labels, "annotations": typed.Metadata.Annotations},
		spec:  spec,
		named: map[string]map[string]any{},
	}
	return t, t.takeContainers()
}

// takeContainers sorts the containers of the template into those that change one of
// kiln's, and further ones.
func (t *Template) takeContainers() error {
	containers, _ := t.spec["containers"].([]any)
	delete(t.spec, "containers")
	for _, entry := range containers {
		container, ok := entry.(map[string]any)
		if !ok {
			return fmt.Errorf("parse pod template: a container is not an object")
		}
		name, _ := container["name"].(string)
		changed, isOwn := strings.CutPrefix(name, own)
		switch {
		case name == jobContainer || name == "":
			return fmt.Errorf("parse pod template: a container is called %q: call it %s to change the action's container, else choose another name", name, own+jobContainer)
		case isOwn:
			t.named[changed] = container
		default:
			t.side = append(t.side, container)
		}
	}
	return nil
}

// Apply merges the template into the spec of an action's pod, and its labels and
// annotations into metas, those of the pod and of what makes it. It returns what it
// set aside, for the log. A nil template changes nothing.
func (t *Template) Apply(spec *corev1.PodSpec, metas ...*metav1.ObjectMeta) (ignored []string, err error) {
	return t.apply(spec, rules{}, metas)
}

// apply is Apply by rules.
func (t *Template) apply(spec *corev1.PodSpec, by rules, metas []*metav1.ObjectMeta) (ignored []string, err error) {
	if t == nil {
		return nil, nil
	}
	for _, meta := range metas {
		ignored = append(ignored, addMissing(&meta.Labels, t.meta["labels"])...)
		ignored = append(ignored, addMissing(&meta.Annotations, t.meta["annotations"])...)
	}
	document, err := runtime.DefaultUnstructuredConverter.ToUnstructured(spec)
	if err != nil {
		return nil, fmt.Errorf("merge pod template: %w", err)
	}
	ignored = append(ignored, t.mergeSpec(document, by)...)
	merged := corev1.PodSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(document, &merged); err != nil {
		return nil, fmt.Errorf("merge pod template: %w", err)
	}
	*spec = merged
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

// mergeSpec replaces the keys of the pod spec that the template sets and that by does
// not merge, and appends volumes, names of hosts, which a job's services have too, the
// Secrets of logins, of which a job has its own, init containers, of which it may have
// one, and containers.
func (t *Template) mergeSpec(spec map[string]any, by rules) (ignored []string) {
	for key, value := range t.spec {
		switch key {
		case "restartPolicy":
			ignored = append(ignored, "spec.restartPolicy")
		case "volumes", "hostAliases", "initContainers":
			spec[key] = appended(spec[key], value)
		case "imagePullSecrets":
			added, _ := newNames(spec[key], value)
			spec[key] = appended(spec[key], added)
		default:
			spec[key] = by.pod.merge(key, spec[key], value)
		}
	}
	if by.settle != nil {
		by.settle(spec, t.spec)
	}
	return append(ignored, t.mergeContainers(spec, by.container)...)
}

// mergeContainers changes the containers of a pod and adds the template's further ones
// beside an action or a job container. The pods of services alone have none: they are
// as many as the job's services happen to need, and a port of such a container is no
// service's to lose.
func (t *Template) mergeContainers(spec map[string]any, by joins) (ignored []string) {
	containers, _ := spec["containers"].([]any)
	var side []any
	for _, entry := range containers {
		container, ok := entry.(map[string]any)
		if !ok {
			continue
		}
		ignored = append(ignored, t.mergeContainer(container, by)...)
		if container["name"] == jobContainer {
			side = t.side
		}
	}
	spec["containers"] = appended(containers, side)
	return ignored
}

// mergeContainer merges into a container of kiln's what the template has for it.
func (t *Template) mergeContainer(container map[string]any, by joins) (ignored []string) {
	name, _ := container["name"].(string)
	for key, value := range t.named[name] {
		switch key {
		case "name":
		case "image", "command", "args", "workingDir":
			ignored = append(ignored, own+name+"."+key)
		case "env":
			added, refused := newNames(container[key], value)
			container[key] = appended(container[key], added)
			for _, variable := range refused {
				ignored = append(ignored, own+name+".env "+variable)
			}
		case "volumeMounts", "ports":
			container[key] = appended(container[key], value)
		default:
			container[key] = by.merge(key, container[key], value)
		}
	}
	return ignored
}

// newNames returns the entries of more whose names no entry of have has, and the names
// of the others.
func newNames(have, more any) (added []any, refused []string) {
	names := map[any]bool{}
	for _, entry := range list(have) {
		if named, ok := entry.(map[string]any); ok {
			names[named["name"]] = true
		}
	}
	for _, entry := range list(more) {
		named, ok := entry.(map[string]any)
		if ok && names[named["name"]] {
			refused = append(refused, fmt.Sprint(named["name"]))
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
