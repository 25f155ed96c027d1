package workpod

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/hook"
)

// Volume is the name of the volume with the runner's work folder.
const Volume = "work"

// Target is where a container finds the runner's whole work folder, as the
// container of a job does.
const Target = "/__w"

// dockerSocket is a mount that the runner asks for with every container.
const dockerSocket = "/var/run/docker.sock"

// WorkVolume is the volume of a claim with the runner's work folder.
func WorkVolume(claim string) corev1.Volume {
	return corev1.Volume{
		Name: Volume,
		VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		},
	}
}

// Shared parts the mounts that the runner asks for into those that another pod gets
// and those that it cannot have: what does not lie in the work folder, which is
// mounted at work in the runner container, is on no volume that another pod could
// mount. Docker's socket, which the runner always asks for, is in neither.
func Shared(mounts []hook.Mount, work string) (shared, other []hook.Mount) {
	for _, mount := range mounts {
		_, inside := Below(mount.SourceVolumePath, work)
		switch {
		case IsDockerSocket(mount.SourceVolumePath):
		case inside:
			shared = append(shared, mount)
		default:
			other = append(other, mount)
		}
	}
	return shared, other
}

// IsDockerSocket reports whether a host path is that of Docker's socket.
func IsDockerSocket(source string) bool { return path.Clean(source) == dockerSocket }

// Mounts returns what is [Shared] of the mounts that the runner asks for, as parts
// of the work volume, and the whole volume at /__w unless the runner wants something
// else there. Errors are the author's.
func Mounts(asked []hook.Mount, work string) ([]corev1.VolumeMount, error) {
	var list []corev1.VolumeMount
	targets := make(map[string]bool)
	shared, _ := Shared(asked, work)
	for _, mount := range shared {
		m, err := workMount(mount, work)
		if err != nil {
			return nil, err
		}
		if targets[m.MountPath] {
			return nil, failure.New(failure.BadRequest, "kiln: the step wants two mounts at %s", m.MountPath)
		}
		targets[m.MountPath] = true
		list = append(list, m)
	}
	if !targets[Target] {
		list = append([]corev1.VolumeMount{{Name: Volume, MountPath: Target}}, list...)
	}
	return list, nil
}

// workMount turns a host path in the work folder into a part of its volume.
func workMount(mount hook.Mount, work string) (corev1.VolumeMount, error) {
	if !IsTarget(mount.TargetVolumePath) {
		return corev1.VolumeMount{}, failure.New(failure.BadRequest, "kiln: the step wants %q of the runner at %q, which is not an absolute path without a colon", mount.SourceVolumePath, mount.TargetVolumePath)
	}
	part, _ := Below(mount.SourceVolumePath, work)
	return corev1.VolumeMount{
		Name:      Volume,
		MountPath: path.Clean(mount.TargetVolumePath),
		SubPath:   part,
		ReadOnly:  mount.ReadOnly,
	}, nil
}

// IsTarget reports whether something can be mounted at a path of a container.
func IsTarget(target string) bool {
	return path.IsAbs(target) && !strings.ContainsAny(target, ":\x00")
}

// Below returns source relative to the work folder, "" for the folder itself,
// and whether it lies in it. The result has no ".." element, which Kubernetes
// would refuse; the kubelet keeps symbolic links in it inside the volume.
func Below(source, work string) (part string, inside bool) {
	source, work = path.Clean(source), path.Clean(work)
	if source == work {
		return "", true
	}
	return strings.CutPrefix(source, strings.TrimSuffix(work, "/")+"/")
}
