package kaniko

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/podtemplate"
)

// Template is what an operator may add to build pods: where they run, what
// they may use, and how they are marked. It has the shape of a pod template,
// of which it is a part: what a build pod is made of stays kiln's.
type Template struct {
	Metadata struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Tolerations       []corev1.Toleration           `json:"tolerations"`
		NodeSelector      map[string]string             `json:"nodeSelector"`
		Affinity          *corev1.Affinity              `json:"affinity"`
		PriorityClassName string                        `json:"priorityClassName"`
		SchedulerName     string                        `json:"schedulerName"`
		RuntimeClassName  *string                       `json:"runtimeClassName"`
		ImagePullSecrets  []corev1.LocalObjectReference `json:"imagePullSecrets"`
		HostUsers         *bool                         `json:"hostUsers"`
		Containers        []ContainerTemplate           `json:"containers"`
	} `json:"spec"`
}

// ContainerTemplate sets the resources of the container kaniko or gate.
type ContainerTemplate struct {
	Name      string                      `json:"name"`
	Resources corev1.ResourceRequirements `json:"resources"`
}

// ParseTemplate reads a template as [podtemplate.Decode] does: what it has no
// place for, and what Kubernetes would not take, is an error with its line.
func ParseTemplate(data []byte) (*Template, error) {
	var t Template
	if _, err := podtemplate.Decode(data, &t); err != nil {
		return nil, fmt.Errorf("parse build pod template: %w", err)
	}
	for _, c := range t.Spec.Containers {
		if c.Name != ContainerKaniko && c.Name != ContainerGate {
			return nil, fmt.Errorf("parse build pod template: a container is called %q: a build pod has %s and %s", c.Name, ContainerKaniko, ContainerGate)
		}
	}
	return &t, nil
}

// Apply adds the template to pod. kiln's own labels stay as they are. A nil
// template changes nothing.
func (t *Template) Apply(pod *corev1.Pod) {
	if t == nil {
		return
	}
	pod.Labels = merged(t.Metadata.Labels, pod.Labels)
	pod.Annotations = merged(t.Metadata.Annotations, pod.Annotations)
	spec := &pod.Spec
	spec.NodeSelector = merged(t.Spec.NodeSelector, spec.NodeSelector)
	spec.Tolerations = append(spec.Tolerations, t.Spec.Tolerations...)
	spec.ImagePullSecrets = append(spec.ImagePullSecrets, t.Spec.ImagePullSecrets...)
	spec.PriorityClassName = t.Spec.PriorityClassName
	spec.SchedulerName = t.Spec.SchedulerName
	spec.RuntimeClassName = t.Spec.RuntimeClassName
	if t.Spec.HostUsers != nil {
		spec.HostUsers = t.Spec.HostUsers
	}
	spec.Affinity = t.Spec.Affinity.DeepCopy()
	for _, c := range t.Spec.Containers {
		for i := range spec.Containers {
			if spec.Containers[i].Name == c.Name {
				spec.Containers[i].Resources = *c.Resources.DeepCopy()
			}
		}
	}
}

// merged returns both maps' entries; have wins.
func merged(more, have map[string]string) map[string]string {
	if len(more) == 0 {
		return have
	}
	result := maps.Clone(more)
	maps.Copy(result, have)
	return result
}
