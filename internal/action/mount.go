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

// mounts returns the mounts that the runner asks for, as parts of the work
// volume, and the whole volume at /__w unless the runner wants something else
// there. Docker's socket is left out. User mounts are not looked at.
func mounts(s Step) ([]corev1.VolumeMount, error) {
	var list []corev1.VolumeMount
	targets := make(map[string]bool)
	for _, mount := range s.Container.SystemMountVolumes {
		if path.Clean(mount.SourceVolumePath) == dockerSocket {
			continue
		}
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
	part, inside := below(mount.SourceVolumePath, work)
	if !inside {
		return corev1.VolumeMount{}, failure.New(failure.BadRequest, "kiln: the step wants %q of the runner at %q, and only what lies below the work folder %s can be shared with an action", mount.SourceVolumePath, mount.TargetVolumePath, work)
	}
	if !path.IsAbs(mount.TargetVolumePath) || strings.ContainsAny(mount.TargetVolumePath, ":\x00") {
		return corev1.VolumeMount{}, failure.New(failure.BadRequest, "kiln: the step wants %q of the runner at %q, which is not an absolute path without a colon", mount.SourceVolumePath, mount.TargetVolumePath)
	}
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
