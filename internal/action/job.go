package action

import (
	"maps"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/hook"
	"kiln/internal/workpod"
)

// keepSeconds are until the cluster removes a Job that nobody removed.
const keepSeconds = 300

// GraceSeconds are between SIGTERM and SIGKILL, whoever deletes the pod: the garbage
// collector, which deletes it with its Job and gives it what the pod itself names, may
// come before kiln, and a kubelet that has begun to wait is not hurried. A runner gives a
// cancelled hook ten seconds in all.
const GraceSeconds = 3

// Job returns the Job of a step. The error is about mounts that the pod
// cannot have, and about arguments that no program can.
func Job(s Step) (*batchv1.Job, error) {
	mounts, err := workpod.Mounts(s.Container.SystemMountVolumes, s.WorkMount)
	if err != nil {
		return nil, err
	}
	arguments := hook.SplitArgs(s.Container.EntryPointArgs)
	if err := checkArguments(arguments); err != nil {
		return nil, err
	}
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: s.meta(s.Name),
		Spec: batchv1.JobSpec{
			BackoffLimit:            new(int32(0)),
			TTLSecondsAfterFinished: new(int32(keepSeconds)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(s.Labels)},
				Spec:       podSpec(s, mounts, arguments),
			},
		},
	}, nil
}

// podSpec returns the pod around the action's container. Images run as the user they
// name, root included, and may gain privileges by setuid programs such as sudo, as with
// Docker.
func podSpec(s Step, mounts []corev1.VolumeMount, arguments []string) corev1.PodSpec {
	spec := workpod.PodSpec(workpod.Place{
		Claim: s.Claim, NodeName: s.NodeName, Arch: s.Arch,
		Tolerations: s.Tolerations, ImagePullSecrets: s.ImagePullSecrets,
		SELinux: s.SELinux, SELinuxChange: s.SELinuxChange,
	}, GraceSeconds)
	spec.HostAliases = slices.Clone(s.HostAliases)
	spec.Containers = []corev1.Container{container(s, mounts, arguments)}
	return spec
}

// container returns the action's container. Command and arguments stay unset
// unless the action names them: an empty list would wipe the image's CMD.
func container(s Step, mounts []corev1.VolumeMount, arguments []string) corev1.Container {
	c := corev1.Container{
		Name:         ContainerName,
		Image:        s.Image,
		WorkingDir:   s.Container.WorkingDirectory,
		Env:          environment(s).Variables(s.secretName()),
		VolumeMounts: mounts,
	}
	if entryPoint := s.Container.EntryPoint; entryPoint != "" {
		c.Command = []string{workpod.Literal(entryPoint)}
	}
	for _, argument := range arguments {
		c.Args = append(c.Args, workpod.Literal(argument))
	}
	return c
}
