package action

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
)

// volumeWork is the volume with the runner's work folder.
const volumeWork = "work"

// WorkTarget is where an action finds the runner's whole work folder, as the
// container of a job does.
const WorkTarget = "/__w"

// dockerSocket is a mount that the runner asks for with every step.
const dockerSocket = "/var/run/docker.sock"

// Shared parts the mounts that the runner asks for with a step into those that an
// action gets and those that it cannot have: what does not lie in the work folder,
// which is mounted at work in the runner container, is on no volume that another
// pod could mount. Docker's socket, which the runner asks for with every step, is
// in neither.
func Shared(mounts []hook.Mount, work string) (shared, other []hook.Mount) {
	for _, mount := range mounts {
		_, inside := below(mount.SourceVolumePath, work)
		switch {
		case path.Clean(mount.SourceVolumePath) == dockerSocket:
		case inside:
			shared = append(shared, mount)
		default:
			other = append(other, mount)
		}
	}
	return shared, other
}

// mounts returns what is [Shared] of the mounts that the runner asks for, as
// parts of the work volume, and the whole volume at /__w unless the runner wants
// something else there. User mounts are not looked at.
func mounts(s Step) ([]corev1.VolumeMount, error) {
	var list []corev1.VolumeMount
	targets := make(map[string]bool)
	shared, _ := Shared(s.Container.SystemMountVolumes, s.WorkMount)
	for _, mount := range shared {
		m, err := workMount(mount, s.WorkMount)
		if err != nil {
			return nil, err
		}
		if targets[m.MountPath] {
			return nil, failure.New(failure.BadRequest, "kiln: the step wants two mounts at %s", m.MountPath)
		}
		targets[m.MountPath] = true
		list = append(list, m)
	}
	if !targets[WorkTarget] {
		list = append([]corev1.VolumeMount{{Name: volumeWork, MountPath: WorkTarget}}, list...)
	}
	return list, nil
}

// workMount turns a host path in the work folder into a part of its volume.
func workMount(mount hook.Mount, work string) (corev1.VolumeMount, error) {
	if !path.IsAbs(mount.TargetVolumePath) || strings.ContainsAny(mount.TargetVolumePath, ":\x00") {
		return corev1.VolumeMount{}, failure.New(failure.BadRequest, "kiln: the step wants %q of the runner at %q, which is not an absolute path without a colon", mount.SourceVolumePath, mount.TargetVolumePath)
	}
	part, _ := below(mount.SourceVolumePath, work)
	return corev1.VolumeMount{
		Name:      volumeWork,
		MountPath: path.Clean(mount.TargetVolumePath),
		SubPath:   part,
		ReadOnly:  mount.ReadOnly,
	}, nil
}

// below returns source relative to the work folder, "" for the folder itself,
// and whether it lies in it. The result has no ".." element, which Kubernetes
// would refuse; the kubelet keeps symbolic links in it inside the volume.
func below(source, work string) (part string, inside bool) {
	source, work = path.Clean(source), path.Clean(work)
	if source == work {
		return "", true
	}
	return strings.CutPrefix(source, strings.TrimSuffix(work, "/")+"/")
}
