package action

import (
	"path"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/agent"
	"kiln/internal/spool"
	"kiln/internal/workpod"
)

// Where an action finds the directory with the agent and the socket of an outlet,
// and both in it.
const (
	OutletTarget = "/__kiln"
	agentPath    = OutletTarget + "/agent"
	doorPath     = OutletTarget + "/door"
)

// OpenOutlet has the action of job print into an outlet: the agent is what its
// container starts with, and runs the action. entrypoint and cmd are the image's,
// for what the step does not name. What a container starts with is Kubernetes' rule:
// a command of the step replaces both, arguments alone the CMD. What is the image's is
// that of its name now, so a node that has an older one of that name has to look.
func OpenOutlet(job *batchv1.Job, outlet spool.Outlet, entrypoint, cmd []string) {
	c := own(&job.Spec.Template.Spec)
	command, arguments := c.Command, c.Args
	if len(command) == 0 {
		if c.ImagePullPolicy == "" && !strings.Contains(c.Image, "@") {
			c.ImagePullPolicy = corev1.PullAlways
		}
		command = literals(entrypoint)
		if len(arguments) == 0 {
			arguments = literals(cmd)
		}
	}
	c.Command = []string{agentPath, agent.ActionCommand, doorPath, outlet.Token}
	c.Args = slices.Concat(command, arguments)
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{
		Name: workpod.Volume, MountPath: OutletTarget, SubPath: path.Join(spool.JobsDir, outlet.Dir), ReadOnly: true,
	})
}

// HasOutlet reports whether the action of a pod starts with the agent, which has it print
// into an outlet if it can.
func HasOutlet(pod *corev1.PodSpec) bool {
	c := own(pod)
	return c != nil && len(c.Command) > 1 && c.Command[0] == agentPath && c.Command[1] == agent.ActionCommand
}

// own is the action's container, nil where there is none.
func own(spec *corev1.PodSpec) *corev1.Container {
	for i := range spec.Containers {
		if spec.Containers[i].Name == ContainerName {
			return &spec.Containers[i]
		}
	}
	return nil
}

// literals are words that the kubelet takes as they are.
func literals(words []string) []string {
	list := make([]string, 0, len(words))
	for _, word := range words {
		list = append(list, workpod.Literal(word))
	}
	return list
}
