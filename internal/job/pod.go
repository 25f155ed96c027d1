package job

import (
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/hook"
	"kiln/internal/spool"
	"kiln/internal/workpod"
)

// What the agent and the steps find in the job container.
const (
	pathAgent     = "/__kiln-agent"  // the agent
	pathDir       = "/__kiln"        // the job's own directory
	pathDoor      = "/__kiln/door"   // its socket
	pathSecret    = "/__kiln-secret" // the door's secret
	pathExternals = "/__e"           // GitHub's Node.js, for JavaScript actions
)

// Names in the job's own directory.
const (
	fileAgent    = "agent"
	dirExternals = "externals"
)

// volumeDoor is the volume with the door's secret, and keyDoor its key in the Secret.
const (
	volumeDoor = "kiln-door"
	keyDoor    = "door"
)

// graceSeconds is what the pod has between SIGTERM and SIGKILL.
const graceSeconds = 5

// Pod returns the job's pod. The error is about mounts that the pod cannot have.
func Pod(s Spec) (*corev1.Pod, error) {
	container, err := container(s)
	if err != nil {
		return nil, err
	}
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: s.meta(s.Name),
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: new(int64(graceSeconds)),
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			SecurityContext: &corev1.PodSecurityContext{
				SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				SELinuxOptions:      s.SELinux.DeepCopy(),
				SELinuxChangePolicy: s.SELinuxChange,
			},
			ImagePullSecrets: slices.Clone(s.ImagePullSecrets),
			Tolerations:      slices.Clone(s.Tolerations),
			NodeSelector:     workpod.NodeSelector(s.Arch),
			Affinity:         workpod.SameNode(s.NodeName),
			HostAliases:      slices.Clone(s.Services.Aliases),
			Containers:       append([]corev1.Container{container}, s.Services.Containers...),
			Volumes:          append([]corev1.Volume{workpod.WorkVolume(s.Claim), doorVolume(s)}, s.Services.Volumes...),
		},
	}, nil
}

// container returns the job container. It is pulled always, as hosted runners do: an
// image that the node has could be an old one of that name, and one that the job may
// not pull.
func container(s Spec) (corev1.Container, error) {
	asked := s.Container.Container
	mounts, err := mounts(s)
	if err != nil {
		return corev1.Container{}, err
	}
	return corev1.Container{
		Name:            ContainerName,
		Image:           asked.Image,
		ImagePullPolicy: corev1.PullAlways,
		Command:         []string{pathAgent, "--socket", pathDoor, "--tcp", s.listen(), "--secret", pathSecret},
		WorkingDir:      asked.WorkingDirectory,
		Env:             environment(s).Variables(s.Name),
		VolumeMounts:    mounts,
	}, nil
}

// doorVolume is the volume with the door's secret alone.
func doorVolume(s Spec) corev1.Volume {
	return corev1.Volume{
		Name: volumeDoor,
		VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: s.Name,
			Items:      []corev1.KeyToPath{{Key: keyDoor, Path: keyDoor}},
			// Whoever the image's user is: the steps can ask the agent for anything
			// anyway.
			DefaultMode: new(int32(0o444)),
		}},
	}
}

// mounts are the runner's and the job's own.
func mounts(s Spec) ([]corev1.VolumeMount, error) {
	list, err := workpod.Mounts(s.Container.Container.SystemMountVolumes, s.WorkMount)
	if err != nil {
		return nil, err
	}
	dir := path.Join(spool.JobsDir, s.Dir)
	return append(needed(list),
		corev1.VolumeMount{Name: workpod.Volume, MountPath: pathDir, SubPath: dir},
		corev1.VolumeMount{Name: workpod.Volume, MountPath: pathAgent, SubPath: path.Join(dir, fileAgent), ReadOnly: true},
		corev1.VolumeMount{Name: workpod.Volume, MountPath: pathExternals, SubPath: path.Join(dir, dirExternals), ReadOnly: true},
		corev1.VolumeMount{Name: volumeDoor, MountPath: pathSecret, SubPath: keyDoor, ReadOnly: true},
	), nil
}

// needed leaves out what is seen through another mount: the runner asks for the work
// folder at /__w and for folders of it at their places below.
func needed(mounts []corev1.VolumeMount) []corev1.VolumeMount {
	whole := slices.IndexFunc(mounts, func(m corev1.VolumeMount) bool { return m.MountPath == workpod.Target && m.SubPath == "" })
	return slices.DeleteFunc(mounts, func(m corev1.VolumeMount) bool {
		return whole >= 0 && m.SubPath != "" && m.MountPath == path.Join(workpod.Target, m.SubPath) && !m.ReadOnly
	})
}

// home is where hosted runners have the home of a job container.
const home = "/github/home"

// environment is that of the job container: what the image has not set. Its HOME is
// the runner's, which the message has.
func environment(s Spec) workpod.Environment {
	values := hook.JobEnv(s.Container.Container)
	if values["HOME"] == "" {
		values["HOME"] = home
	}
	return workpod.NewEnvironment(values, "")
}
