package service

import (
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/agent"
)

// HostsContainer is the name of the container that writes names into the hosts file of
// a pod.
const HostsContainer = "kiln-hosts"

// agentProgram is where kiln's image has the agent.
const agentProgram = "/kiln-agent"

// Hosts is a container, of kiln's own image, that adds what it is sent on its standard
// input to the hosts file of its pod, and ends. The file is one for all containers of a
// pod and belongs to root, which is all that the container is: it has no capability and
// writes nothing else. That is how a service finds those whose addresses are known only
// after its pod was made.
func Hosts(image string) corev1.Container {
	return corev1.Container{
		Name: HostsContainer, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, // the node has it, and the job may not pull it
		Command: []string{agentProgram, agent.HostsCommand, agent.HostsFile},
		Stdin:   true, StdinOnce: true,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			RunAsUser: new(int64(0)), RunAsNonRoot: new(false),
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}
