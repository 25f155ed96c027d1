package job

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"kiln/internal/spool"
	"kiln/internal/workpod"
)

// InstallName is the name of the init container that brings the agent.
const InstallName = "kiln-agent"

// installed is where it puts the agent, on a volume of the pod's own.
const installed = "/install"

// imageUser is the user of kiln's image.
const imageUser = 65532

// install adds the init container and its volume to the job's pod, where it takes them.
// The image is on the runner's node, which runs it: a pull would want logins that the
// images of a job do not get.
func (s Spec) install(spec *corev1.PodSpec) {
	if s.AgentImage == "" {
		return
	}
	spec.Volumes = append(spec.Volumes, corev1.Volume{
		Name: InstallName, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	})
	limits := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("32Mi")}
	spec.InitContainers = append(spec.InitContainers, corev1.Container{
		Name: InstallName, Image: s.AgentImage, ImagePullPolicy: corev1.PullIfNotPresent,
		Command:   []string{"/kiln-agent", "--install", path.Join(installed, fileAgent)},
		Resources: corev1.ResourceRequirements{Requests: limits, Limits: limits},
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(imageUser)), RunAsGroup: new(int64(imageUser)),
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: InstallName, MountPath: installed}},
	})
}

// agentMount is the agent in the job container: one file, read-only.
func (s Spec) agentMount() corev1.VolumeMount {
	mount := corev1.VolumeMount{Name: InstallName, MountPath: pathAgent, SubPath: fileAgent, ReadOnly: true}
	if s.AgentImage == "" {
		mount.Name, mount.SubPath = workpod.Volume, path.Join(spool.JobsDir, s.Dir, fileAgent)
	}
	return mount
}
